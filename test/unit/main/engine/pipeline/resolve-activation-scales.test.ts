/** Wrong fallbacks here are how an expert without data ends with scale 0 and NaN at serving time. */
import { describe, expect, test } from 'vitest'
import { EMPTY_STATS } from '../../../../../main/engine/calibration/stats.ts'
import {
  listUncoveredExperts,
  resolveActivationScales,
} from '../../../../../main/engine/pipeline/resolve-activation-scales.ts'
import type { PlannedActivationScale } from '../../../../../main/engine/pipeline/export-plan.ts'

const output = (name: string): PlannedActivationScale['output'] => ({
  name,
  index: 0,
  dtype: 'F32',
  shape: [],
  sizeBytes: 4,
  shardIndex: 0,
  offsetBytes: 0,
})
const base = { expertIndex: undefined, scope: 'module', constantAmax: undefined, divisor: 2688 } as const
const stats = (amax: Record<string, number[]>): Parameters<typeof resolveActivationScales>[1] => ({
  ...EMPTY_STATS,
  amax: new Map(Object.entries(amax).map(([site, values]) => [site, Float32Array.from(values)])),
  tokenCount: 1,
})
const bits = (value: number): string => {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  return `0x${view.getUint32(0).toString(16)}`
}

describe('resolveActivationScales', () => {
  test('multiplies by the f32 reciprocal as CUDA does (3.359375 / 448 differs from the true quotient)', () => {
    const planned = [{ ...base, output: output('a.input_scale'), sites: ['a.input_quantizer'], divisor: 448 }]
    const { scales } = resolveActivationScales(
      planned,
      stats({ 'a.input_quantizer': [3.359375] }),
      'identical',
    )
    expect(bits(scales[0]?.value ?? 0)).toBe('0x3bf5b6dc')
  })

  test('a fusion group takes the maximum of its sites', () => {
    const planned = [{ ...base, output: output('q.input_scale'), sites: ['q', 'k', 'v'] }]
    const { scales } = resolveActivationScales(planned, stats({ q: [1], k: [7], v: [2] }), 'identical')
    expect(bits(scales[0]?.value ?? 0)).toBe('0x3b2aaaab')
  })

  test('shared takes the maximum over experts, per_expert its own, an expert without data the maximum', () => {
    const expert = (expertIndex: number, scope: 'per_expert' | 'shared'): PlannedActivationScale => ({
      ...base,
      output: output(`experts.${String(expertIndex)}.down_proj.input_scale`),
      sites: ['experts.down'],
      expertIndex,
      scope,
    })
    const planned = [expert(0, 'per_expert'), expert(1, 'per_expert'), expert(0, 'shared')]
    const { scales, findings } = resolveActivationScales(
      planned,
      stats({ 'experts.down': [0.5, 0, 7] }),
      'hardened',
    )
    expect(scales.map(({ value }) => bits(value))).toEqual(['0x39430c31', '0x3b2aaaab', '0x3b2aaaab'])
    expect(findings).toEqual([])
  })

  test('the constant 2688 gives exactly 1', () => {
    const planned = [{ ...base, output: output('e.input_scale'), sites: [], constantAmax: 2688 }]
    expect(resolveActivationScales(planned, stats({}), 'identical').scales[0]?.value).toBe(1)
  })

  test('an input that saw only zeros gets scale 1 and a finding', () => {
    const planned = [{ ...base, output: output('a.input_scale'), sites: ['a'] }]
    const { scales, findings } = resolveActivationScales(planned, stats({ a: [0] }), 'hardened')
    expect(scales[0]?.value).toBe(1)
    expect(findings[0]?.subject).toBe('a.input_scale')
  })

  test.each([
    ['AMAX_MISSING', {}],
    ['AMAX_INVALID', { a: [Number.NaN] }],
    ['AMAX_INVALID', { a: [-1] }],
    ['AMAX_INVALID', { a: [Number.POSITIVE_INFINITY] }],
  ])('%s for %j', (code, amax) => {
    const planned = [{ ...base, output: output('a.input_scale'), sites: ['a'] }]
    expect(() => resolveActivationScales(planned, stats(amax), 'hardened')).toThrow(
      expect.objectContaining({ code }),
    )
  })
})

test('uncovered experts are listed by layer and expert', () => {
  const calibrated = {
    ...EMPTY_STATS,
    tokenCount: 4,
    expertTokens: new Map([
      ['m.layers.1.mlp.experts', Float64Array.of(3, 0)],
      ['m.layers.0.mlp.experts', Float64Array.of(0, 1)],
      ['unknown', Float64Array.of(0)],
    ]),
  }
  const layerOf = (name: string): number | undefined =>
    name === 'unknown' ? undefined : Number(name.split('.')[2])
  const found = listUncoveredExperts(calibrated, layerOf, 'per_expert')
  expect(found.map(({ layerIndex, expertIndex }) => [layerIndex, expertIndex])).toEqual([
    [0, 0],
    [1, 1],
  ])
})
