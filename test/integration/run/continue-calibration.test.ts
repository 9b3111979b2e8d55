/** --resume goes on behind the calibrated layers; states that cannot be trusted are said so and cost time, never bytes. */
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { QualityReport } from '../../../shared/domain/quality-report.ts'
import { hashExport, runForTest, sha256File, silentObserver } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const OPTIONS = {
  recipe: 'nvfp4_experts_only-kv_fp8',
  samples: 4,
  sequenceLength: 128,
  quality: 'full',
} as const
const DUMP = 'quantmill/calibration.safetensors'
const own = (out: string, name: string): string => join(`${out}.partial`, 'quantmill', name)

interface Boundary {
  readonly file: string
  readonly layersDone: number
}

async function boundariesOf(out: string): Promise<Boundary[]> {
  const lines = (await readFile(own(out, 'journal.jsonl'), 'utf8')).trim().split('\n')
  return lines.flatMap((line) => {
    const { boundary } = JSON.parse(line) as { boundary?: Boundary }
    return boundary === undefined ? [] : [boundary]
  })
}

/** Stops the run in its third layer of four. */
async function stoppedInThird(memoryBytes?: number): Promise<string> {
  const outputPath = join(await temporaryFolder(), 'export')
  let isStopped = false
  const observer = {
    ...silentObserver(() => isStopped),
    stageProgress: (stage: string, done: number) => {
      if (stage === 'calibrate' && done > 2) isStopped = true
    },
  }
  const run = runForTest({ outputPath, options: { ...OPTIONS, memoryBytes } }, observer)
  await expect(run).rejects.toMatchObject({ code: 'CANCELLED' })
  return outputPath
}

interface Continued {
  readonly messages: readonly string[]
  /** First progress of calibration, in layers. */
  readonly first: number | undefined
  readonly quality: QualityReport | undefined
}

async function resume(outputPath: string, memoryBytes?: number): Promise<Continued> {
  const messages: string[] = []
  const progress: number[] = []
  const experts = new Set<number>()
  const observer = {
    ...silentObserver(),
    log: (level: string, message: string) => messages.push(`${level} ${message}`),
    expertTokens: (layer: number) => experts.add(layer),
    stageProgress: (stage: string, done: number) => {
      if (stage === 'calibrate') progress.push(done)
    },
  }
  const { report } = await runForTest(
    { outputPath, options: { ...OPTIONS, memoryBytes }, canResume: true },
    observer,
  )
  expect([...experts].sort()).toEqual([0, 1, 2, 3])
  return { messages, first: progress[0], quality: report.quality }
}

const undisturbed = runForTest({ options: OPTIONS }).then(async ({ outputPath, report }) => ({
  quality: report.quality,
  files: await hashExport(outputPath),
  dump: await sha256File(join(outputPath, DUMP)),
}))

async function expectUndisturbed(out: string, quality: QualityReport | undefined): Promise<void> {
  expect(quality?.layers).toHaveLength(4)
  expect(quality).toEqual((await undisturbed).quality)
  expect(await hashExport(out)).toEqual((await undisturbed).files)
  expect(await sha256File(join(out, DUMP))).toBe((await undisturbed).dump)
  const left = await readdir(out, { recursive: true })
  expect(left.filter((name) => /state|journal|scratch/.test(name))).toEqual([])
}

test.each([
  ['spilled after the stop', undefined, 0],
  ['spilled before it', 0, undefined],
])('two layers are not calibrated again, hidden states %s', async (_, before, after) => {
  const out = await stoppedInThird(before)
  expect((await boundariesOf(out)).map(({ layersDone }) => layersDone)).toEqual([1, 2])
  const { messages, first, quality } = await resume(out, after)
  expect(first).toBe(2)
  expect(messages).toContain('info continuing calibration: 2 of 4 layers were finished before')
  await expectUndisturbed(out, quality)
})

describe('damage', () => {
  test('of the last state: the one before is used', async () => {
    const out = await stoppedInThird()
    const last = (await boundariesOf(out)).at(-1)
    const path = own(out, last?.file ?? '')
    const bytes = await readFile(path)
    bytes[bytes.length - 5] = (bytes.at(-5) ?? 0) ^ 4
    await writeFile(path, bytes)
    const { messages, first, quality } = await resume(out)
    expect(first).toBe(1)
    expect(messages.filter((line) => line.startsWith('warn calibration cannot continue from'))).toHaveLength(
      1,
    )
    await expectUndisturbed(out, quality)
  })

  test('of both: calibration begins again', async () => {
    const out = await stoppedInThird()
    const [one, two] = await boundariesOf(out)
    await truncate(own(out, one?.file ?? ''), 100)
    await truncate(own(out, two?.file ?? ''), 0)
    const { messages, first, quality } = await resume(out)
    expect(first).toBe(0)
    expect(messages.filter((line) => line.startsWith('warn calibration cannot continue from'))).toHaveLength(
      2,
    )
    await expectUndisturbed(out, quality)
  })
})
