/** A line of the journal is a promise about bytes on the disk; a lost or a false one costs hours of work or a wrong export. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { checkIdentity, Journal, readJournal } from '../../../../main/host/jobs/journal.ts'
import type { TaskResult } from '../../../../main/workers/export-protocol.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { temporaryFolder } from '../../../tools/temporary-folder.ts'

const RESULT: TaskResult = { hashes: [], sources: [], deadWeights: [], bytesRead: 8, bytesWritten: 4 }
const IDENTITY = { recipe: 'nvfp4', 'source a.safetensors': '12 bytes' }
const HEAD = '{"schema":1,"identity":{"recipe":"nvfp4","source a.safetensors":"12 bytes"}}\n'
const lineOf = (task: number): string =>
  `{"task":${String(task)},"result":{"hashes":[],"sources":[],"deadWeights":[],"bytesRead":8,"bytesWritten":4}}\n`
afterEach(() => {
  vi.useRealTimers()
})

const withCode = (code: string): unknown => expect.objectContaining({ code })

async function journalFile(): Promise<string> {
  return join(await temporaryFolder(), 'journal.jsonl')
}

const brokenDisk = (): Promise<void> =>
  Promise.reject(
    new AppError('WRITE_FAILED', {
      subject: 'shard',
      problem: 'EIO',
      remedy: 'check the disk and try again',
    }),
  )

describe('commit', () => {
  test('outputs are synced before their lines appear; a task that ends during the sync waits for the next one', async () => {
    const path = await journalFile()
    const seen: string[] = []
    const journal = await Journal.create(path, IDENTITY, async () => {
      seen.push(await readFile(path, 'utf8'))
      if (seen.length === 1) journal.record({ task: 2, result: RESULT })
    })
    journal.record({ task: 1, result: RESULT })
    await journal.commit()
    expect(await readFile(path, 'utf8')).toBe(HEAD + lineOf(1))
    await journal.commit()
    await journal.close()
    expect(seen).toEqual([HEAD, HEAD + lineOf(1)])
    expect(await readFile(path, 'utf8')).toBe(HEAD + lineOf(1) + lineOf(2))
  })

  test('a failed sync counts no task, ends the run with its next task and is never made up for', async () => {
    const path = await journalFile()
    let syncs = 0
    const journal = await Journal.create(path, IDENTITY, () => {
      syncs += 1
      return syncs === 1 ? brokenDisk() : Promise.resolve()
    })
    journal.record({ task: 1, result: RESULT })
    await expect(journal.commit()).rejects.toEqual(withCode('WRITE_FAILED'))
    expect(() => {
      journal.record({ task: 2, result: RESULT })
    }).toThrow('WRITE_FAILED')
    await expect(journal.commit()).rejects.toEqual(withCode('WRITE_FAILED'))
    await journal.close()
    expect(syncs).toBe(1)
    expect(await readFile(path, 'utf8')).toBe(HEAD)
  })

  test('a commit is due by itself while tasks keep coming, and its failure is told as well', async () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    let syncs = 0
    const journal = await Journal.create(await journalFile(), IDENTITY, () => {
      syncs += 1
      return brokenDisk()
    })
    journal.record({ task: 1, result: RESULT })
    await Promise.resolve()
    expect(syncs).toBe(0)
    vi.advanceTimersByTime(200)
    journal.record({ task: 2, result: RESULT })
    await Promise.resolve()
    expect(syncs).toBe(1)
    await expect(journal.commit()).rejects.toEqual(withCode('WRITE_FAILED'))
    await journal.close()
    expect(syncs).toBe(1)
  })
})

describe('readJournal', () => {
  test('drops a torn end, and what is appended next begins where it was', async () => {
    const path = await journalFile()
    await writeFile(path, `${HEAD}${lineOf(1)}{"task":2,"res`)
    const read = await readJournal(path)
    expect([...(read?.tasks.keys() ?? [])]).toEqual([1])
    expect(read?.identity).toEqual(IDENTITY)
    const journal = await Journal.reopen(path, read?.validBytes ?? 0, () => Promise.resolve())
    journal.record({ task: 3, result: RESULT })
    await journal.commit()
    await journal.close()
    expect(await readFile(path, 'utf8')).toBe(HEAD + lineOf(1) + lineOf(3))
  })

  test('none is undefined; one that cannot be read is not none', async () => {
    const path = await journalFile()
    expect(await readJournal(path)).toBeUndefined()
    await mkdir(path)
    await expect(readJournal(path)).rejects.toEqual(withCode('READ_FAILED'))
  })

  test.each([
    ['a broken line', `${HEAD}{"task":\n${lineOf(1)}`],
    ['another schema', HEAD.replace('"schema":1', '"schema":2')],
    ['a task that is no number', HEAD + lineOf(1).replace('"task":1', '"task":"1"')],
    ['a hash that is none', HEAD + lineOf(1).replace('[]', '[{"tensor":0,"sha256":"abc"}]')],
    ['no hashes', HEAD + lineOf(1).replace('"hashes":[],', '')],
  ])('refuses %s', async (_name, text) => {
    const path = await journalFile()
    await writeFile(path, text)
    await expect(readJournal(path)).rejects.toEqual(withCode('JOURNAL_INVALID'))
  })
})

test.each([
  ['recipe', { ...IDENTITY, recipe: 'fp8' }],
  ['source b.safetensors', { ...IDENTITY, 'source b.safetensors': '12 bytes' }],
  ['source a.safetensors', { recipe: 'nvfp4' }],
])('checkIdentity names what differs: %s', (key, expected) => {
  expect(() => {
    checkIdentity('/out.partial', IDENTITY, IDENTITY)
  }).not.toThrow()
  expect(() => {
    checkIdentity('/out.partial', IDENTITY, expected)
  }).toThrow(`another one: ${key} changed`)
})

describe('calibration states', () => {
  const state = (file: string, layersDone: number): string =>
    `{"boundary":{"file":"${file}","layersDone":${String(layersDone)},"sizeBytes":9,"sha256":"${'ab'.repeat(32)}"}}\n`

  test('of each file the last counts, the newest first; outputs need not be synced for them', async () => {
    const path = await journalFile()
    const journal = await Journal.create(path, IDENTITY, brokenDisk)
    for (const [layer, file] of [
      'calibration-0.state',
      'calibration-1.state',
      'calibration-0.state',
    ].entries()) {
      await journal.recordBoundary({ file, layersDone: layer + 1, sizeBytes: 9, sha256: 'ab'.repeat(32) })
    }
    await journal.close()
    expect((await readJournal(path))?.boundaries).toMatchObject([
      { file: 'calibration-0.state', layersDone: 3 },
      { file: 'calibration-1.state', layersDone: 2 },
    ])
  })

  test('a torn line leaves the state before it', async () => {
    const path = await journalFile()
    await writeFile(
      path,
      HEAD + state('calibration-0.state', 1) + state('calibration-1.state', 2).slice(0, 60),
    )
    expect((await readJournal(path))?.boundaries).toMatchObject([{ layersDone: 1 }])
  })

  test.each([
    ['a file elsewhere', state('../../secret', 1)],
    [
      'a layer that is no number',
      state('calibration-0.state', 1).replace('"layersDone":1', '"layersDone":"1"'),
    ],
    ['no hash', state('calibration-0.state', 1).replace('ab'.repeat(32), '')],
  ])('%s is refused', async (_, line) => {
    const path = await journalFile()
    await writeFile(path, HEAD + line)
    await expect(readJournal(path)).rejects.toEqual(withCode('JOURNAL_INVALID'))
  })
})
