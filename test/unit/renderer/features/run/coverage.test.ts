import { describe, expect, it } from 'vitest'
import { relativeLoad, summariseCoverage } from '../../../../../renderer/src/features/run/coverage.ts'
import { fc } from '../../../../tools/properties.ts'

describe('summariseCoverage', () => {
  it('counts measured layers only', () => {
    expect(summariseCoverage([[0, 4, 2], undefined, [9, 1, 0]])).toEqual({
      measuredLayers: 2,
      measuredExperts: 6,
      reachedExperts: 4,
      least: 0,
      median: 1,
      most: 9,
    })
  })

  it('is all zeros before anything is measured', () => {
    expect(summariseCoverage([undefined])).toEqual({
      measuredLayers: 0,
      measuredExperts: 0,
      reachedExperts: 0,
      least: 0,
      median: 0,
      most: 0,
    })
  })

  it('finds the median that sorting finds', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 50 }), { minLength: 1, maxLength: 200 }), (counts) => {
        const sorted = [...counts].sort((a, b) => a - b)
        expect(summariseCoverage([counts]).median).toBe(sorted[Math.floor((counts.length - 1) / 2)])
      }),
    )
  })
})

describe('relativeLoad', () => {
  it('compares with an even share of the layer', () => {
    expect(relativeLoad([[3, 1]], 0, 0)).toBe(1.5)
    expect(relativeLoad([[0, 0]], 0, 0)).toBeUndefined()
    expect(relativeLoad([undefined], 0, 0)).toBeUndefined()
  })
})
