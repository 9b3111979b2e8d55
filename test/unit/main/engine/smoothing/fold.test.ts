/** Folded vectors must cancel: a column that is multiplied where nothing divides, or the reverse, is another model that still loads. */
import { afterAll, expect, test } from 'vitest'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import type { CalibrationStats } from '../../../../../main/engine/calibration/stats.ts'
import type { TensorSlice } from '../../../../../main/engine/checkpoint/checkpoint.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { smoothedAmaxes } from '../../../../../main/engine/smoothing/channel-inputs.ts'
import { FoldMap } from '../../../../../main/engine/smoothing/fold-map.ts'
import { foldInPlace, resolveFold, storableVector } from '../../../../../main/engine/smoothing/fold-values.ts'
import {
  makeMemoryModel,
  MemoryReader,
  randomNumbers,
  SMALL_CONFIG,
  type MemoryModel,
} from '../../../../tools/memory-model.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

const { hiddenSize, expertCount, expertWidth, sharedExpertWidth } = SMALL_CONFIG
const batches = [{ batch: 2, time: 8, ids: Int32Array.from({ length: 16 }, (_, index) => (index * 7) % 61) }]

/** One of each kind in both layers, between 1/4 and 4. */
function randomVectors(seed: number): Map<string, Float32Array> {
  const random = randomNumbers(seed)
  const vector = (length: number): Float32Array => Float32Array.from({ length }, () => 4 ** random())
  return new Map(
    [0, 1].flatMap((index) => {
      const layer = `model.language_model.layers.${String(index)}`
      return [
        [`${layer}.input_layernorm`, vector(hiddenSize)],
        [`${layer}.post_attention_layernorm`, vector(hiddenSize)],
        [`${layer}.mlp.experts.down_proj`, vector(expertCount * expertWidth)],
        [`${layer}.mlp.shared_expert.down_proj`, vector(sharedExpertWidth)],
      ] as const
    }),
  )
}

function slicesOf({ model }: MemoryModel): readonly TensorSlice[] {
  return model.exportOrder.flatMap((item) => {
    if (item.kind === 'experts') return item.experts.flatMap(({ gate, up, down }) => [gate, up, down])
    return item.kind === 'kv_cache' ? [] : [item.source]
  })
}

/** Rewrites the bytes of the model; returns the names of what changed. */
function foldModel(memory: MemoryModel, vectors: ReadonlyMap<string, Float32Array>): readonly string[] {
  const folds = new FoldMap(vectors.keys())
  return slicesOf(memory).flatMap(({ name, shape, offsetBytes, sizeBytes }) => {
    const fold = folds.foldOf(name.replace(/\.weight$/, ''))
    if (fold === undefined) return []
    const resolved = resolveFold(fold, vectors, shape)
    if (resolved === undefined) throw new Error(`${name} has no vector of its size`)
    foldInPlace(
      'F32',
      memory.bytes.subarray(offsetBytes, offsetBytes + sizeBytes),
      resolved,
      shape[1] ?? 1,
      0,
    )
    return [name]
  })
}

async function measure({
  model,
  bytes,
}: MemoryModel): Promise<{ stats: CalibrationStats; hidden: Float32Array }> {
  const reader = new MemoryReader(bytes)
  const calibrator = await Calibrator.create({ model, runtime, reader, batches, shouldObserveChannels: true })
  const stats = await calibrator.runAll()
  return { stats, hidden: calibrator.batches[0].hidden.slice() }
}

test('a model with vectors everywhere computes what it computed, and its inputs have the maxima that were foretold', async () => {
  for (const seed of [1, 2, 3]) {
    const before = await measure(makeMemoryModel(SMALL_CONFIG, 'F32', seed))
    const folded = makeMemoryModel(SMALL_CONFIG, 'F32', seed)
    const vectors = randomVectors(seed)
    // Per layer: two norms, router, shared expert's gate and three matrices, seven experts of three; four and three projections.
    expect(foldModel(folded, vectors)).toHaveLength(2 * (2 + 1 + 1 + 3 + 21) + 4 + 3)
    const after = await measure(folded)
    const largest = Math.max(...before.hidden.map(Math.abs))
    for (const [index, value] of after.hidden.entries())
      expect(Math.abs(value - before.hidden[index])).toBeLessThan(2e-5 * largest)
    expect([...after.stats.expertTokens]).toEqual([...before.stats.expertTokens])
    const foretold = smoothedAmaxes(before.stats, vectors)
    expect(foretold.size).toBe(after.stats.amax.size)
    for (const [site, amax] of after.stats.amax)
      for (const [copy, value] of amax.entries())
        expect(value, site).toBeCloseTo(foretold.get(site)?.[copy] ?? Number.NaN, 3)
  }
})

test('one vector alone leaves the model what it was as well', async () => {
  const before = await measure(makeMemoryModel(SMALL_CONFIG, 'F32', 9))
  for (const [key, vector] of randomVectors(9)) {
    const folded = makeMemoryModel(SMALL_CONFIG, 'F32', 9)
    expect(foldModel(folded, new Map([[key, vector]])).length).toBeGreaterThanOrEqual(2)
    const { hidden } = await measure(folded)
    const largest = Math.max(...before.hidden.map(Math.abs))
    for (const [index, value] of hidden.entries())
      expect(Math.abs(value - before.hidden[index]), key).toBeLessThan(2e-5 * largest)
  }
})

test('layers of the multi-token-prediction block, o_proj, out_proj and lm_head are left alone', () => {
  const folds = new FoldMap(['model.layers.0.input_layernorm', 'mtp.layers.0.input_layernorm'])
  for (const module of [
    'mtp.layers.0.self_attn.q_proj',
    'model.layers.0.self_attn.o_proj',
    'model.layers.0.linear_attn.out_proj',
    'model.layers.1.self_attn.q_proj',
    'lm_head',
  ])
    expect(folds.foldOf(module), module).toBeUndefined()
})

test('a vector becomes what a BF16 norm can store, and keeps channels that the norm has switched off', () => {
  // (1 + 0.5) / 4 − 1 = −0.625 is a BF16 number; (1 + 0.5) / 3 − 1 = −0.5 too; w = −1 makes every output 0.
  expect([...storableVector('BF16', Float32Array.of(0.5, 0.5, -1), Float32Array.of(4, 3, 2))]).toEqual([
    4, 3, 1,
  ])
  // (1 + 0) / 1.7 − 1 = −0.41176… is stored as −0.412109375, so that s = 1 / 0.587890625.
  expect(storableVector('BF16', Float32Array.of(0), Float32Array.of(1.7))[0]).toBe(
    Math.fround(1 / 0.587890625),
  )
})
