/** Bookkeeping of expert outputs: an index off by one would add another token's expert. */
import { expect, test } from 'vitest'
import {
  ExpertTerms,
  packRuns,
  rowsWithin,
} from '../../../../../../main/engine/calibration/resident/expert-terms.ts'
import type { DeviceTensor } from '../../../../../../main/engine/onnx/graph-runtime.ts'

const output = (): DeviceTensor => ({ location: 'device', shape: [], dispose: () => undefined })
const routed = (rows: number[], weights: number[], from = 0, to = rows.length) => ({
  rows: Int32Array.from(rows),
  weights: Float32Array.from(weights),
  from,
  to,
})

test('terms point at rows of all outputs, token by token, in the order of the experts', () => {
  const terms = new ExpertTerms(10, 3)
  terms.add(output(), [routed([10, 12], [0.5, 0.25]), routed([11], [1])])
  terms.add(output(), [routed([10, 12], [0.125, 0.75])])
  expect(terms.termCount).toBe(2)
  const feeds = terms.feeds()
  expect(Object.keys(feeds).sort()).toEqual(
    ['index.0', 'index.1', 'part.0', 'part.1', 'weight.0', 'weight.1'].sort(),
  )
  expect(feeds).toMatchObject({
    'index.0': { shape: [3], data: Int32Array.of(0, 2, 1) },
    'weight.0': { shape: [3, 1], data: Float32Array.of(0.5, 1, 0.25) },
    'index.1': { data: Int32Array.of(3, 0, 4) },
    // Token 11 has one term only.
    'weight.1': { data: Float32Array.of(0.125, 0, 0.75) },
  })
})

test('rows of a run are cut out of those of an expert, in bounded pieces', () => {
  const expert = routed([1, 4, 5, 6, 9, 20, 21], [0, 0, 0, 0, 0, 0, 0], 1, 7)
  const pieces = (first: number, end: number) =>
    rowsWithin(expert, first, end, 2).map(({ from, to }) => [from, to])
  expect(pieces(4, 10)).toEqual([
    [1, 3],
    [3, 5],
  ])
  expect(pieces(0, 4)).toEqual([])
  expect(pieces(20, 22)).toEqual([[5, 7]])
})

test.each([
  ['thirteen equal ones', Array<number>(13).fill(1), 100, [8, 4, 1]],
  ['no more than the most slots', Array<number>(40).fill(1), 100, [32, 8]],
  ['no more rows than allowed, but at least one slot', [60, 60, 200, 10, 10], 100, [1, 1, 1, 2]],
  ['nothing', [], 100, []],
])('runs of experts: %s', (_, sizes, maxRows, expected) => {
  const slots = sizes.map((size) => routed(Array<number>(size).fill(0), []))
  expect(packRuns(slots, 32, maxRows).map((run) => run.length)).toEqual(expected)
})
