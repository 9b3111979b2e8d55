import { expect, test } from 'vitest'
import { largestValues, qualityRows, summariseRows } from '../../../shared/domain/expert-rows.ts'

test('gaps and NaN are no values', () => {
  expect(summariseRows([[3, null, 0], null, [Number.NaN, 7]])).toEqual({
    count: 3,
    least: 0,
    most: 7,
    zeros: 1,
  })
  expect(summariseRows([null, [null]])).toEqual({ count: 0, least: 0, most: 0, zeros: 0 })
})

test('the largest come first, equal ones in order of layer and expert', () => {
  const rows = [[1, 5, null], null, [5, 9, 2]]
  expect(largestValues(rows, 3)).toEqual([
    { layerIndex: 2, expertIndex: 1, value: 9 },
    { layerIndex: 0, expertIndex: 1, value: 5 },
    { layerIndex: 2, expertIndex: 0, value: 5 },
  ])
  expect(largestValues(rows, 100)).toHaveLength(5)
})

test('experts without tokens are gaps, layers that were not compared expert by expert are missing rows', () => {
  const measure = { relativeError: 0.5, cosine: 0.25 }
  const layers = [
    {
      layerIndex: 1,
      ...measure,
      experts: [{ expertIndex: 2, tokens: 7, relativeError: 0.125, cosine: 0.75 }],
    },
    { layerIndex: 2, ...measure, experts: [] },
  ]
  expect(qualityRows(layers, 3, 3, 'relativeError')).toEqual([null, [null, null, 0.125], null])
  expect(qualityRows(layers, 3, 3, 'cosine')).toEqual([null, [null, null, 0.75], null])
})
