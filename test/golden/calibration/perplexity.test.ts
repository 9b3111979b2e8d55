/** Perplexity of the sample on six kinds of text against the recorded values: the forward pass and the projection together, on 512 tokens. */
import { expect, test } from 'vitest'
import { evaluatePerplexity } from '../../../main/engine/calibration/evaluate-perplexity.ts'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { domains, openSampleReader } from './reference-data.ts'

test('perplexity per domain within 0.2 %', async () => {
  const sample = await openSampleReader()
  const runtime = new OrtRuntime({ device: 'cpu', threads: 2 })
  try {
    const recorded = domains()
    const { model, reader } = sample
    const windows = recorded.map(({ batch }) => batch)
    const results = await evaluatePerplexity({ model, runtime, reader }, windows)
    expect(results).toHaveLength(6)
    for (const [index, { name, perplexity, tokens }] of recorded.entries()) {
      expect(results[index].tokens, name).toBe(tokens)
      expect(Math.abs(results[index].perplexity / perplexity - 1), name).toBeLessThan(2e-3)
    }
  } finally {
    await runtime.close()
    sample.close()
  }
}, 120_000)
