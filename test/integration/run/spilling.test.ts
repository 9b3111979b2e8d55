/** A calibrated run with hardly any memory for hidden states writes what a run with plenty writes, and leaves no scratch file. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { runCli } from '../../tools/cli.ts'
import { hashExport, runForTest, sha256File, silentObserver } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const OPTIONS = { recipe: 'fp8_default-kv_fp8', samples: 4, sequenceLength: 128 }
const DUMP = 'quantmill/calibration.safetensors'

test('the same bytes with and without spilling', async () => {
  const plenty = await runForTest({ options: OPTIONS })
  const scarce = await runForTest({ options: { ...OPTIONS, memoryBytes: 0 } })
  expect(plenty.report.spilledBytes).toBe(0)
  // 512 tokens of 256 numbers: once embedded, then in each of 4 layers at least attention, router input and expert input.
  expect(scarce.report.spilledBytes).toBeGreaterThan(512 * 256 * 4 * 13)
  expect(await hashExport(scarce.outputPath)).toEqual(await hashExport(plenty.outputPath))
  expect(await sha256File(join(scarce.outputPath, DUMP))).toBe(
    await sha256File(join(plenty.outputPath, DUMP)),
  )
  const left = await readdir(scarce.outputPath, { recursive: true })
  expect(left.filter((name) => name.includes('scratch'))).toEqual([])
})

test('a cancelled run leaves no scratch file either', async () => {
  const outputPath = join(await temporaryFolder(), 'export')
  let isStopped = false
  const observer = {
    ...silentObserver(() => isStopped),
    stageProgress: (stage: string, done: number) => {
      if (stage === 'calibrate' && done > 1) isStopped = true
    },
  }
  const run = runForTest({ outputPath, options: { ...OPTIONS, memoryBytes: 0 } }, observer)
  await expect(run).rejects.toMatchObject({ code: 'CANCELLED' })
  expect(await readdir(join(`${outputPath}.partial`, 'quantmill'))).toContain('journal.jsonl')
  const left = await readdir(`${outputPath}.partial`, { recursive: true })
  expect(left.filter((name) => name.includes('scratch'))).toEqual([])
})

test('eval: the same number to the last digit, from a folder that is removed', async () => {
  const argv = [
    'eval',
    SAMPLE,
    '--data',
    'builtin',
    '--samples',
    '2',
    '--seq-len',
    '64',
    '--device',
    'cpu',
    '--json',
  ]
  const plenty = await runCli(argv)
  const scarce = await runCli([...argv, '--memory', '0'])
  expect([scarce.exitCode, scarce.stdout]).toEqual([0, plenty.stdout])
  expect(JSON.parse(plenty.stdout)).toHaveProperty('perplexity')
})

test('a size that is none is refused', async () => {
  const { exitCode, stderr } = await runCli([
    'plan',
    SAMPLE,
    '--recipe',
    'fp8_default-kv_fp8',
    '--memory',
    'lots',
  ])
  expect(exitCode).toBe(2)
  expect(stderr).toContain('--memory is "lots"')
})
