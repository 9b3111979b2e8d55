/** Shared state between workers or runs would show as different bytes. */
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
