/** Choosing samples by the experts they reach: worked examples and laws. Each would catch a choice that misses an expert or takes too many. */
import { describe, expect, test } from 'vitest'
import {
  chooseSamples,
  type SampleCounts,
} from '../../../../../../main/engine/calibration/coverage/choose-samples.ts'
import { summariseCoverage } from '../../../../../../main/engine/calibration/coverage/summarise-coverage.ts'
import { EMPTY_STATS } from '../../../../../../main/engine/calibration/stats.ts'
import { fc } from '../../../../../tools/properties.ts'

/** By layer, sample and expert. */
function countsOf(layers: readonly (readonly (readonly number[])[])[]): SampleCounts {
  const [first = []] = layers
  return {
    sampleCount: first.length,
    expertCount: first[0]?.length ?? 0,
    layers: layers.map((samples) => Uint32Array.from(samples.flat())),
  }
}

describe('worked examples', () => {
  const layer = [
    [9, 1, 0],
    [10, 0, 0],
    [4, 6, 0],
    [2, 3, 5],
    [9, 0, 1],
  ]

  test('the sample that fills most comes first; drawing in order needs more', () => {
    // After sample 0, experts 1 and 2 lack 4 and 5 tokens: sample 3 brings 3 + 5, then sample 2 the last one.
    expect(chooseSamples(countsOf([layer]), 1, 5)).toEqual({
      samples: [0, 2, 3],
      inOrderSamples: 4,
      outOfReach: [],
    })
  })

  test('an expert that all samples together do not reach is named and gets all there is', () => {
    const { samples, outOfReach } = chooseSamples(countsOf([layer]), 1, 7)
    expect(outOfReach).toEqual([{ layerIndex: 0, expertIndex: 2, tokens: 6 }])
    expect(samples).toEqual([0, 2, 3, 4])
  })

  test('layers are counted apart', () => {
    const never = layer.map(([a = 0, b = 0, c = 0]) => [a + b + c, 0, 0])
    const { outOfReach } = chooseSamples(countsOf([layer, never]), 0, 1)
    expect(outOfReach).toEqual([
      { layerIndex: 1, expertIndex: 1, tokens: 0 },
      { layerIndex: 1, expertIndex: 2, tokens: 0 },
    ])
  })

  test('of equals the first is taken, and nothing when the first samples suffice', () => {
    const same = countsOf([Array.from({ length: 4 }, () => [2, 2])])
    expect(chooseSamples(same, 0, 2).samples).toEqual([0])
    expect(chooseSamples(same, 2, 3)).toMatchObject({ samples: [0, 1], inOrderSamples: 2 })
  })
})

test('every expert gets what was asked for or all that there is, with no more samples than in order', () => {
  const size = { layers: fc.integer({ min: 1, max: 3 }), experts: fc.integer({ min: 1, max: 5 }) }
  const cases = fc
    .record({ ...size, samples: fc.integer({ min: 1, max: 12 }) })
    .chain(({ layers, experts, samples }) =>
      fc.record({
        counts: fc.array(
          fc.array(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: experts, maxLength: experts }), {
            minLength: samples,
            maxLength: samples,
          }),
          { minLength: layers, maxLength: layers },
        ),
        initial: fc.integer({ min: 0, max: samples }),
        minTokens: fc.integer({ min: 1, max: 9 }),
      }),
    )
  fc.assert(
    fc.property(cases, ({ counts, initial, minTokens }) => {
      const { samples, inOrderSamples, outOfReach } = chooseSamples(countsOf(counts), initial, minTokens)
      expect(new Set(samples).size).toBe(samples.length)
      for (let sample = 0; sample < initial; sample += 1) expect(samples).toContain(sample)
      for (const [layerIndex, layer] of counts.entries()) {
        for (const expertIndex of (layer[0] ?? []).keys()) {
          const tokens = (picked: readonly number[]): number =>
            picked.reduce((sum, sample) => sum + (layer[sample]?.[expertIndex] ?? 0), 0)
          const all = tokens([...layer.keys()])
          expect(tokens(samples)).toBeGreaterThanOrEqual(Math.min(minTokens, all))
          expect(tokens([...layer.keys()].slice(0, inOrderSamples))).toBeGreaterThanOrEqual(
            Math.min(minTokens, all),
          )
          const isListed = outOfReach.some(
            (entry) => entry.layerIndex === layerIndex && entry.expertIndex === expertIndex,
          )
          expect(isListed).toBe(all < minTokens)
        }
      }
    }),
  )
})

test('thin and starving experts by the thresholds of 10 and 5 percent of the mean', () => {
  // Mean 100: 0 is uncovered, 4 starving, 9 thin, 10 and more neither.
  const counts = Float64Array.of(0, 4, 9, 10, 477)
  const stats = { ...EMPTY_STATS, expertTokens: new Map([['m', counts]]) }
  expect(summariseCoverage(stats, () => 3)).toEqual([
    { layerIndex: 3, meanTokens: 100, fewestTokens: 0, uncovered: 1, starving: 1, thin: 1 },
  ])
})
