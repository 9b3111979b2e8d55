/** What is looked at of experts is the same wherever the activations live: the first tokens of each, in order, before the limit only. */
import { afterAll, expect, test } from 'vitest'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import type { ExpertWatch } from '../../../../../main/engine/calibration/layer-pass.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import type { GraphRuntime } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'

const cpu = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => cpu.close())
const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 4)
const { hiddenSize, topK } = SMALL_CONFIG
const IDS = Int32Array.from({ length: 24 }, (_, index) => (index * 7) % 61)
const BATCHES = [
  { batch: 2, time: 4, ids: IDS.subarray(0, 8) },
  { batch: 4, time: 4, ids: IDS.subarray(8) },
]

interface Seen {
  readonly inputs: number[]
  readonly outputs: number[]
}

async function look(isResident: boolean, rowLimit: number, maxRows: number): Promise<Map<number, Seen>> {
  const runtime: GraphRuntime = isResident
    ? { device: 'webgpu', load: (graph, name) => cpu.load(graph, name), resident: cpu.resident }
    : cpu
  const calibrator = await Calibrator.create({
    model,
    runtime,
    reader: new MemoryReader(bytes),
    batches: BATCHES,
  })
  const seen = new Map<number, Seen>()
  const watch: ExpertWatch = {
    rowLimit,
    wantedRows: (expert) => maxRows - (seen.get(expert)?.inputs.length ?? 0) / hiddenSize,
    watch: (expert, inputs, outputs) => {
      const before = seen.get(expert) ?? { inputs: [], outputs: [] }
      seen.set(expert, {
        inputs: [...before.inputs, ...inputs],
        outputs: [...before.outputs, ...outputs],
      })
    },
    restart: () => {
      seen.clear()
    },
  }
  await calibrator.embed()
  await calibrator.runLayer(0, { watch })
  await calibrator.release()
  return seen
}

test.each([
  ['every token', 24, 100],
  ['a part of the second batch', 13, 100],
  ['two tokens of each', 24, 2],
])('%s', async (_, rowLimit, maxRows) => {
  const [here, there] = [await look(false, rowLimit, maxRows), await look(true, rowLimit, maxRows)]
  const counts = [...here.values()].map(({ inputs }) => inputs.length / hiddenSize)
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (maxRows === 100) expect(total).toBe(rowLimit * topK)
  else expect(Math.max(...counts)).toBe(maxRows)
  expect([...there.keys()].sort()).toEqual([...here.keys()].sort())
  for (const [expert, { inputs, outputs }] of here) {
    const other = there.get(expert)
    expect(other?.inputs.length).toBe(inputs.length)
    expect(other?.outputs.length).toBe(outputs.length)
    const largest = Math.max(...outputs.map(Math.abs))
    for (const [index, value] of inputs.entries())
      expect(Math.abs(value - (other?.inputs[index] ?? NaN))).toBeLessThan(1e-4)
    for (const [index, value] of outputs.entries())
      expect(Math.abs(value - (other?.outputs[index] ?? NaN))).toBeLessThan(1e-3 * largest + 1e-6)
  }
})
