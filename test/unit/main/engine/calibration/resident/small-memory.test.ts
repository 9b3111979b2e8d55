/** Little device memory: outputs of experts are added up unit by unit, or run by run. Both must give what the f64 reference gives. */
import { afterAll, expect, test } from 'vitest'
import { ResidentForwardPass } from '../../../../../../main/engine/calibration/resident/resident-forward-pass.ts'
import { OrtRuntime } from '../../../../../../main/engine/device/ort-runtime.ts'
import {
  makeMemoryModel,
  MemoryReader,
  randomNumbers,
  SMALL_CONFIG,
} from '../../../../../tools/memory-model.ts'
import { ReferenceForward } from '../../../../../tools/reference-forward.ts'

const SEQUENCES = 128
const TIME = 8

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

test.each([
  ['several units at a time', 3000],
  ['run by run, because one unit has everything', 12_000],
])('%s', async (_, maxUnitBytes) => {
  const text = { ...SMALL_CONFIG, layerCount: 1, layerKinds: ['linear_attention'] as const }
  const { model, values, bytes } = makeMemoryModel(text, 'BF16', 11)
  const random = randomNumbers(4)
  const ids = Int32Array.from({ length: SEQUENCES * TIME }, () =>
    Math.floor(((random() + 1) / 2) * text.vocabSize),
  )
  const pass = await ResidentForwardPass.create({
    model,
    runtime,
    reader: new MemoryReader(bytes),
    batches: [{ batch: SEQUENCES, time: TIME, ids }],
    maxUnitBytes,
    // Grows to twice the hidden states, which leaves room for half of the outputs.
    gpuBudgetBytes: 1,
  })
  expect(pass).toBeDefined()
  if (pass === undefined) return
  await pass.embed()
  const maxima = new Map<string, number>()
  await pass.runLayer(0, (site, slot, amax) => {
    const key = `${site}.${String(slot)}`
    maxima.set(key, Math.max(maxima.get(key) ?? 0, amax))
  })
  await pass.readStates()
  // Otherwise this test shows nothing.
  expect(pass.plan.outputBytes).toBeLessThan(SEQUENCES * TIME * text.topK * text.hiddenSize * 4)
  const reference = new ReferenceForward(text, values, model.prefix)
  const layers = Array.from({ length: SEQUENCES }, (_unused, row) =>
    reference.layer(0, reference.embed([...ids.subarray(row * TIME, (row + 1) * TIME)])),
  )
  const expected = layers.flatMap(({ hidden }) => hidden.flat())
  const actual = pass.batches.flatMap(({ hidden }) => [...hidden])
  const worst = Math.max(...expected.map((value, i) => Math.abs(actual[i] - value) / (1 + Math.abs(value))))
  expect(worst).toBeLessThan(1e-4)
  for (let expert = 0; expert < text.expertCount; expert += 1) {
    for (const [site, name] of [
      ['mlp.experts.gate_up_proj', 'gate_up'],
      ['mlp.experts.down_proj', 'down'],
    ]) {
      const wanted = Math.max(...layers.map(({ amax }) => amax.get(`${name}.${String(expert)}`) ?? 0))
      expect(
        (maxima.get(`${site}.${String(expert)}`) ?? 0) / wanted,
        `${site} ${String(expert)}`,
      ).toBeCloseTo(1, 4)
    }
  }
  await pass.release()
})
