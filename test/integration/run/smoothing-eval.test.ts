/**
 * Experts compared one by one read what the source's experts read. Those of a rescaled export want it divided, which the norm before them does
 * in the whole model: without it every expert looks broken although nothing is.
 */
import { afterAll, expect, test } from 'vitest'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { evaluate } from '../../../main/workers/evaluate.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 2 })
afterAll(() => runtime.close())

test('int8_smoothquant: no expert is far off, as the layers are not', async () => {
  const options = {
    recipe: 'int8_smoothquant',
    dialect: 'compressed-tensors',
    samples: 4,
    sequenceLength: 64,
  } as const
  const { outputPath: path } = await runForTest({ options })
  const ids = Int32Array.from({ length: 64 }, (_, index) => (index * 37) % 500)
  const windows = [{ batch: 1, time: 64, ids }]
  const input = { path, againstPath: SAMPLE, expertInputs: 'layer_max' as const, windows }
  const { comparison } = await evaluate(input, runtime, { first: undefined, second: undefined }, {})
  const experts = (comparison?.layers ?? []).flatMap((layer) => layer.experts)
  expect(experts.length).toBeGreaterThan(40)
  expect(Math.max(...experts.map(({ relativeError }) => relativeError))).toBeLessThan(0.2)
})
