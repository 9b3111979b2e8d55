/**
 * Folding vectors into norms and weights must leave a layer's outputs and its routing what they were. A reader of the norm that is forgotten, a
 * norm that is taken for a plain one, rows for columns, or the vector of another expert would all show.
 */
import { describe, expect, test } from 'vitest'
import { FoldMap } from '../../../../../main/engine/smoothing/fold-map.ts'
import {
  foldInPlace,
  resolveFold,
  roundTo,
  storableVector,
} from '../../../../../main/engine/smoothing/fold-values.ts'
import type { QwenTextConfig } from '../../../../../main/engine/models/qwen3_5-moe/text-config.ts'
import { makeMemoryModel, randomNumbers, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { ReferenceForward } from '../../../../tools/reference-forward.ts'

const PREFIX = 'model.language_model'
const IDS = [3, 17, 5, 44, 17, 60, 2, 9]

/** From 1/16 to 16, another for every channel and expert. */
function someVectors({
  layerKinds,
  hiddenSize,
  expertCount,
  expertWidth,
  sharedExpertWidth,
}: QwenTextConfig) {
  const random = randomNumbers(7)
  const vector = (length: number): Float32Array => Float32Array.from({ length }, () => 2 ** (4 * random()))
  return new Map(
    layerKinds.flatMap((_, index) => {
      const layer = `${PREFIX}.layers.${String(index)}`
      return [
        [`${layer}.input_layernorm`, vector(hiddenSize)],
        [`${layer}.post_attention_layernorm`, vector(hiddenSize)],
        [`${layer}.mlp.experts.down_proj`, vector(expertCount * expertWidth)],
        [`${layer}.mlp.shared_expert.down_proj`, vector(sharedExpertWidth)],
      ] as const
    }),
  )
}

test('layers of both kinds give what they gave, and route alike, with every vector folded in', () => {
  const { model, values } = makeMemoryModel(SMALL_CONFIG, 'F32', 5)
  const vectors = someVectors(SMALL_CONFIG)
  const folds = new FoldMap(vectors.keys())
  const shapes = new Map(
    model.exportOrder.flatMap((item) => {
      if (item.kind === 'tensor') return [[item.name, item.source.shape] as const]
      if (item.kind !== 'experts') return []
      return item.experts.flatMap(({ gate, up, down }) =>
        [gate, up, down].map(({ name, shape }) => [name, shape] as const),
      )
    }),
  )
  let foldedCount = 0
  const folded = new Map(
    [...values].map(([name, original]) => {
      const shape = shapes.get(name) ?? []
      const fold = folds.foldOf(name.replace(/\.weight$/, ''))
      if (fold === undefined) return [name, original]
      const resolved = resolveFold(fold, vectors, shape)
      if (resolved === undefined) throw new Error(`${name} has no vectors`)
      foldedCount += 1
      const numbers = Float32Array.from(original)
      foldInPlace('F32', new Uint8Array(numbers.buffer), resolved, shape[1] ?? 1, 0)
      return [name, Float64Array.from(numbers)]
    }),
  )
  // Of each layer: 2 norms, router, shared gate, 3 shared and 3 x 7 routed matrices; 4 projections of a linear mixer, 3 of a full one.
  expect(foldedCount).toBe(2 * (2 + 1 + 1 + 3 + 21) + 4 + 3)
  const [before, after] = [values, folded].map((weights) => {
    const forward = new ReferenceForward(SMALL_CONFIG, weights, PREFIX)
    const first = forward.layer(0, forward.embed(IDS))
    return [first, forward.layer(1, first.hidden)]
  })
  for (const layer of [0, 1]) {
    expect(after?.[layer]?.chosen).toEqual(before?.[layer]?.chosen)
    const [left, right] = [before, after].map((run) => run?.[layer]?.hidden.flat() ?? [])
    const worst = Math.max(...(left ?? []).map((value, at) => Math.abs(value - (right?.[at] ?? Infinity))))
    expect(worst).toBeLessThan(2e-5 * Math.max(...(left ?? []).map(Math.abs)))
  }
})

describe('what a BF16 norm can store', () => {
  test('columns make up for what rounding does to the norm, however near to zero its scale comes', () => {
    const weights = Float32Array.of(0, 0.25, -0.5, 1.5, 0.01171875)
    const scales = Float32Array.of(100, 77, 30, 0.013, 90)
    const storable = storableVector('BF16', weights, scales)
    const stored = weights.slice()
    const bytes = new Uint8Array(stored.length * 2)
    for (const [at, weight] of weights.entries()) bytes.set(bf16Of(weight), 2 * at)
    foldInPlace('BF16', bytes, { norm: storable }, 1, 0)
    for (const [at, weight] of weights.entries()) {
      const after = 1 + numberOf(bytes.subarray(2 * at, 2 * at + 2))
      expect(after * (storable[at] ?? 0)).toBeCloseTo(1 + weight, 5)
      expect((storable[at] ?? 0) / (scales[at] ?? 1)).toBeGreaterThan(0.7)
      expect((storable[at] ?? 0) / (scales[at] ?? 1)).toBeLessThan(1.4)
    }
    // Without it: 1 + 0 over 100 is 0.01, of which BF16 keeps 0.0117.
    expect((1 + roundTo('BF16', 1 / 100 - 1)) * 100).toBeGreaterThan(1.1)
  })

  test('a channel that the norm has switched off, and one that rounding would, keep scale 1', () => {
    expect([...storableVector('BF16', Float32Array.of(-1, 0, 0), Float32Array.of(8, 1e4, 1))]).toEqual([
      1, 1, 1,
    ])
  })
})

test.each([
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [65520, 0x7c00],
  [2 ** -24, 0x0001],
  [2 ** -25, 0x0000],
  [3 * 2 ** -25, 0x0002],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [2047.5, 0x6800],
])('%f is stored as the half %i', (value, pattern) => {
  expect(roundTo('F16', value)).toBe(halfValue(pattern))
})

test('the block for multi-token prediction, and modules that read other channels, have no fold', () => {
  const folds = new FoldMap(someVectors(SMALL_CONFIG).keys())
  for (const module of [
    'mtp.layers.0.mlp.gate',
    `${PREFIX}.layers.0.linear_attn.out_proj`,
    `${PREFIX}.layers.1.self_attn.o_proj`,
    `${PREFIX}.layers.2.mlp.gate`,
    `${PREFIX}.norm`,
    'lm_head',
  ]) {
    expect(folds.foldOf(module)).toBeUndefined()
  }
})

test('vectors of another size do not fit', () => {
  const fold = { columns: { key: 'a', copy: 1 } }
  expect(resolveFold(fold, new Map([['a', new Float32Array(6)]]), [2, 3])?.columns).toHaveLength(3)
  expect(resolveFold(fold, new Map([['a', new Float32Array(5)]]), [2, 3])).toBeUndefined()
  expect(resolveFold(fold, new Map(), [2, 3])).toBeUndefined()
})

function bf16Of(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer).slice(2)
}

function numberOf(bf16: Uint8Array): number {
  return new DataView(Uint8Array.of(0, 0, bf16[0] ?? 0, bf16[1] ?? 0).buffer).getFloat32(0, true)
}

function halfValue(pattern: number): number {
  const sign = pattern >= 0x8000 ? -1 : 1
  const exponent = (pattern >> 10) & 31
  const mantissa = pattern & 1023
  if (exponent === 31) return sign * Infinity
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25))
}
