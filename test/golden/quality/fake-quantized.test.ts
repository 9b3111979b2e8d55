/**
 * Perplexity and divergence of exports against a recorded fake-quantized run of the model's own implementation: a scale used the wrong way
 * round, a wrong tie, an input that is not rounded or a wrong decoder shows here. Measured differences: 0.1 % of perplexity at most.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { relayoutSample } from '../../tools/relayout.ts'
import { compareWithSample, exportWithRecordedAmax, RECORDED } from './reference-quality.ts'

const DOMAIN = 'json'
const runtime = new OrtRuntime({ device: 'cpu', threads: 2 })
afterAll(() => runtime.close())

async function check(variant: string, exportPath: string): Promise<void> {
  const { chosen, comparison } = await compareWithSample(exportPath, runtime, [DOMAIN])
  const recorded = RECORDED[variant][DOMAIN]
  const [{ original, quantized, klMean, top1Agreement, tokens }] = comparison.groups
  expect(tokens).toBe(chosen[0].tokens)
  expect(Math.abs(original.perplexity / chosen[0].perplexity - 1)).toBeLessThan(2e-3)
  expect(Math.abs(quantized.perplexity / recorded.perplexity - 1)).toBeLessThan(3e-3)
  expect(Math.abs(klMean - recorded.klMean)).toBeLessThan(0.05 * recorded.klMean + 2e-4)
  expect(Math.abs(top1Agreement - recorded.top1Agreement)).toBeLessThan(0.01)
  const errors = comparison.layers.map(({ relativeError }) => relativeError)
  expect(errors).toHaveLength(4)
  for (const error of errors) expect(error).toBeGreaterThan(0)
  for (const { experts } of comparison.layers) expect(experts.length).toBeGreaterThan(16)
}

describe('exports of the sample', () => {
  test.each([
    ['fp8', { recipe: 'fp8_default-kv_fp8' }],
    ['nvfp4', { recipe: 'nvfp4_default-kv_fp8' }],
    ['int4', { recipe: 'int4_blockwise_weight_only' }],
    ['nvfp4', { recipe: 'nvfp4_default-kv_fp8', dialect: 'compressed-tensors' }],
  ] as const)(
    '%s, %o',
    async (variant, options) => {
      await check(variant, await exportWithRecordedAmax(options))
    },
    120_000,
  )

  test('experts stored one by one, other names, one file', async () => {
    const path = await relayoutSample({ experts: 'per_expert', prefix: 'model', shards: 1 })
    const options = { recipe: 'nvfp4_experts_only-kv_fp8' }
    await check('nvfp4_experts', await exportWithRecordedAmax(options, { path, prefix: 'model' }))
  }, 120_000)
})
