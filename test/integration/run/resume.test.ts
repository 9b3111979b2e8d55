/** What --resume must not do: continue another run, or throw away hours of work because something given to it was wrong. */
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { hashExport, runForTest, silentObserver } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const OPTIONS = { recipe: 'fp8_default-kv_fp8', samples: 4, sequenceLength: 128 }

/** Cancels a run in its middle; the path of the export that it did not make. */
async function unfinished(): Promise<string> {
  const outputPath = join(await temporaryFolder(), 'export')
  let progress = 0
  const observer = {
    ...silentObserver(() => progress > 8),
    stageProgress: (stage: string) => {
      if (stage === 'export') progress += 1
    },
  }
  await expect(runForTest({ outputPath, options: OPTIONS }, observer)).rejects.toMatchObject({
    code: 'CANCELLED',
  })
  return outputPath
}

const journalOf = (out: string): string => join(`${out}.partial`, 'quantmill/journal.jsonl')
const linesOf = async (out: string): Promise<number> =>
  (await readFile(journalOf(out), 'utf8')).split('\n').length - 1

test('a cancelled run keeps what it finished, and the continued one does not do it again', async () => {
  const out = await unfinished()
  const finished = (await linesOf(out)) - 1
  expect(finished).toBeGreaterThan(0)
  const logged: string[] = []
  const observer = { ...silentObserver(), log: (_level: string, message: string) => logged.push(message) }
  await runForTest({ outputPath: out, options: OPTIONS, canResume: true }, observer)
  expect(logged.filter((line) => line.startsWith('continuing:'))).toEqual([
    expect.stringContaining(`continuing: ${String(finished)} of `),
  ])
  const { outputPath } = await runForTest({ options: OPTIONS })
  expect(await hashExport(out)).toEqual(await hashExport(outputPath))
})

test.each([
  ['other data', { samples: 5 }, 'RESUME_MISMATCH', 'data changed'],
  ['another option', { kv: 'none' as const }, 'RESUME_MISMATCH', 'options, plan changed'],
])('%s is refused by name, and the unfinished run stays', async (_name, change, code, problem) => {
  const out = await unfinished()
  const before = await hashExport(`${out}.partial`)
  const lines = await linesOf(out)
  const run = runForTest({ outputPath: out, options: { ...OPTIONS, ...change }, canResume: true })
  await expect(run).rejects.toMatchObject({ code, problem: expect.stringContaining(problem) as string })
  expect(await hashExport(`${out}.partial`)).toEqual(before)
  expect(await linesOf(out)).toBe(lines)
})

test('a damaged journal is refused, and what the unfinished run wrote stays until --overwrite', async () => {
  const out = await unfinished()
  const names = await readdir(`${out}.partial`)
  await writeFile(journalOf(out), 'not a journal\n')
  const run = runForTest({ outputPath: out, options: OPTIONS, canResume: true })
  await expect(run).rejects.toMatchObject({ code: 'JOURNAL_INVALID' })
  expect(await readdir(`${out}.partial`)).toEqual(names)
})

test('a file of the run that is gone is named, and the unfinished run stays', async () => {
  const out = await unfinished()
  const names = await readdir(`${out}.partial`)
  const calibrationPath = join(out, '../gone.txt')
  const run = runForTest({ outputPath: out, options: OPTIONS, calibrationPath, canResume: true })
  await expect(run).rejects.toMatchObject({ code: 'READ_FAILED', subject: calibrationPath })
  expect(await readdir(`${out}.partial`)).toEqual(names)
})
