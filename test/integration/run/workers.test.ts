/** Shared state between workers or runs would show as different bytes. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'

const OPTIONS = { recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast', maxShardSizeBytes: 4_000_000 }

describe('export workers', () => {
  test('1, 2 and 5 workers give the same bytes', async () => {
    const hashes = []
    for (const workers of [1, 2, 5])
      hashes.push(await hashExport((await runForTest({ options: { ...OPTIONS, workers } })).outputPath))
    expect(hashes[1]).toEqual(hashes[0])
    expect(hashes[2]).toEqual(hashes[0])
    expect(Object.keys(hashes[0] ?? {}).length).toBeGreaterThan(10)
  })

  test('1 and 3 workers give the same calibration dump; the source is read once, but for what both stages need', async () => {
    const calibrated = { recipe: 'nvfp4_experts_only-kv_fp8', samples: 16, sequenceLength: 64 }
    const dumps = []
    for (const workers of [1, 3]) {
      const { report, outputPath } = await runForTest({
        options: { ...calibrated, statistics: 'full', workers },
      })
      dumps.push(await readFile(join(outputPath, 'quantmill/calibration.safetensors')))
      expect(report.bytesRead).toBeGreaterThanOrEqual(report.sourceBytes)
      expect(report.bytesRead).toBeLessThanOrEqual(1.02 * report.sourceBytes)
    }
    expect(dumps[0].length).toBeGreaterThan(400_000)
    expect(dumps[1].equals(dumps[0])).toBe(true)
  })

  test('two different runs at once in one process give what they give alone', async () => {
    const other = {
      recipe: 'nvfp4_default-kv_fp8',
      profile: 'identical' as const,
      samples: 2,
      sequenceLength: 48,
    }
    const alone = [await runForTest({ options: OPTIONS }), await runForTest({ options: other })]
    const together = await Promise.all([runForTest({ options: OPTIONS }), runForTest({ options: other })])
    for (const [index, run] of together.entries()) {
      expect(await hashExport(run.outputPath)).toEqual(await hashExport(alone[index]?.outputPath ?? ''))
    }
  })
})
