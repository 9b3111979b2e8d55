/** The graphs against an f64 reference on shapes that the recorded run does not have. Each case would catch a split, repeat or order mistake. */
import { afterAll, describe, expect, test } from 'vitest'
import { evaluatePerplexity } from '../../../../../main/engine/calibration/evaluate-perplexity.ts'
import { ForwardPass } from '../../../../../main/engine/calibration/forward-pass.ts'
import type { ForwardOptions, LayerPass } from '../../../../../main/engine/calibration/layer-pass.ts'
import { ResidentForwardPass } from '../../../../../main/engine/calibration/resident/resident-forward-pass.ts'
import type { TokenBatch } from '../../../../../main/engine/calibration/hidden-states.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import type { QwenTextConfig } from '../../../../../main/engine/models/qwen3_5-moe/text-config.ts'
import {
  makeMemoryModel,
  MemoryReader,
  randomNumbers,
  SMALL_CONFIG,
  type MemoryDtype,
} from '../../../../tools/memory-model.ts'
import { ReferenceForward } from '../../../../tools/reference-forward.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

interface Case {
  readonly name: string
  readonly change: Partial<QwenTextConfig>
  readonly batches: readonly (readonly [batch: number, time: number])[]
  readonly dtype: MemoryDtype
}

const CASES: readonly Case[] = [
  { name: 'two value heads per key head', change: {}, batches: [[2, 9]], dtype: 'BF16' },
  {
    name: 'as many value heads as key heads, values wider than keys',
    change: { linearKeyHeadCount: 3, linearValueHeadCount: 3, linearKeyHeadDim: 4, linearValueHeadDim: 10 },
    batches: [[1, 11]],
    dtype: 'F32',
  },
  {
    name: 'four value heads per key head, two-tap convolution',
    change: { linearKeyHeadCount: 2, linearValueHeadCount: 8, convKernelSize: 2 },
    batches: [[3, 5]],
    dtype: 'F16',
  },
  {
    name: 'every head its own keys, whole head rotates',
    change: { kvHeadCount: 4, headDim: 8, rotaryDim: 8 },
    batches: [[2, 7]],
    dtype: 'BF16',
  },
  {
    name: 'one key head for all, odd sizes',
    change: { hiddenSize: 17, headCount: 3, kvHeadCount: 1, headDim: 10, rotaryDim: 2, expertWidth: 5 },
    batches: [[2, 6]],
    dtype: 'F32',
  },
  { name: 'a single token', change: {}, batches: [[1, 1]], dtype: 'BF16' },
  {
    name: 'batches of different lengths',
    change: {},
    batches: [
      [2, 4],
      [1, 12],
      [3, 1],
    ],
    dtype: 'BF16',
  },
  {
    name: 'every expert chosen, full attention first',
    change: { topK: 7, layerKinds: ['full_attention', 'linear_attention'] },
    batches: [[2, 5]],
    dtype: 'BF16',
  },
]

/** The pass with activations on the device, on the CPU provider: the same sessions, uploads as binary16. Runs of at most 64 tokens. */
async function residentPass(options: ForwardOptions): Promise<LayerPass> {
  const pass = await ResidentForwardPass.create({ ...options, maxUnitBytes: 3000 })
  if (pass === undefined) throw new Error('the activations do not fit')
  return pass
}

const PASSES: readonly [name: string, create: (options: ForwardOptions) => Promise<LayerPass>][] = [
  ['activations on this side', (options) => Promise.resolve(new ForwardPass(options))],
  ['activations on the device', residentPass],
]

describe.each(CASES)('$name', ({ change, batches, dtype }) => {
  const text: QwenTextConfig = { ...SMALL_CONFIG, ...change }
  const { model, values, bytes } = makeMemoryModel(text, dtype, 7)
  const reference = new ReferenceForward(text, values, model.prefix)
  const tokens = batches.map(([batch, time], index) => randomTokens(batch, time, text.vocabSize, index))

  test.each(PASSES)('hidden states, routing and maxima of every layer, %s', async (_, create) => {
    const forward = await create({ model, runtime, reader: new MemoryReader(bytes), batches: tokens })
    await forward.embed()
    let expected = tokens.flatMap(({ batch, time, ids }) =>
      Array.from({ length: batch }, (_, row) =>
        reference.embed([...ids.subarray(row * time, (row + 1) * time)]),
      ),
    )
    for (let layer = 0; layer < text.layerCount; layer += 1) {
      const seen = new Map<string, number>()
      const routing = await forward.runLayer(layer, (site, slot, amax) => {
        const key = site.startsWith('mlp.experts.') ? `${expertSite(site)}.${String(slot)}` : site
        seen.set(key, Math.max(seen.get(key) ?? 0, amax))
      })
      const layers = expected.map((sequence) => reference.layer(layer, sequence))
      expected = layers.map(({ hidden }) => hidden.map((row) => [...row]))
      await forward.readStates()
      const actual = forward.batches.flatMap(({ hidden }) => [...hidden])
      expectClose(actual, expected.flat(2), 1e-4)
      const chosen = layers.flatMap((result) => result.chosen)
      const routed = chosen.map((_, row) => [...routing.choiceOf(row).experts])
      expect(routed).toEqual(chosen)
      const maxima = new Map<string, number>()
      for (const { amax } of layers) {
        for (const [site, value] of amax)
          maxima.set(siteOf(site), Math.max(maxima.get(siteOf(site)) ?? 0, value))
      }
      for (const [site, value] of maxima) expect((seen.get(site) ?? 0) / value, site).toBeCloseTo(1, 4)
    }
    await forward.release()
  })

  test('perplexity', async () => {
    const predicted = tokens.filter(({ time }) => time > 1)
    if (predicted.length === 0) return
    const results = await evaluatePerplexity({ model, runtime, reader: new MemoryReader(bytes) }, predicted)
    for (const [index, { batch, time, ids }] of predicted.entries()) {
      const losses = Array.from({ length: batch }, (_, row) => {
        const sequence = [...ids.subarray(row * time, (row + 1) * time)]
        let hidden = reference.embed(sequence)
        for (let layer = 0; layer < text.layerCount; layer += 1)
          hidden = reference.layer(layer, hidden).hidden
        return reference.losses(hidden, sequence)
      }).flat()
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length
      expect(results[index].tokens).toBe(losses.length)
      expect(results[index].nllMean).toBeCloseTo(mean, 4)
    }
  })
})

function randomTokens(batch: number, time: number, vocabSize: number, seed: number): TokenBatch {
  const random = randomNumbers(seed + 100)
  const ids = Int32Array.from({ length: batch * time }, () => Math.floor(((random() + 1) / 2) * vocabSize))
  return { batch, time, ids }
}

function expertSite(site: string): string {
  return site.endsWith('gate_up_proj') ? 'gate_up' : 'down'
}

/** The reference calls the cached tensors by their letter. */
function siteOf(site: string): string {
  return site === 'self_attn.k' || site === 'self_attn.v' ? `${site}_bmm_quantizer` : site
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length)
  const worst = Math.max(...expected.map((value, i) => Math.abs(actual[i] - value) / (1 + Math.abs(value))))
  expect(worst).toBeLessThan(tolerance)
}
