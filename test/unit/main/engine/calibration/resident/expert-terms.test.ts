/** Bookkeeping of expert outputs: an index off by one would add another token's expert. */
import { expect, test } from 'vitest'
import { ExpertTerms, rowsWithin } from '../../../../../../main/engine/calibration/resident/expert-terms.ts'
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
  const tile = (expert: number, rows: number[], weights: number[]) => ({ ...routed(rows, weights), expert })
  terms.add(output(), {
    width: 4,
    picksExperts: false,
    tiles: [tile(0, [10, 12], [0.5, 0.25]), tile(1, [11], [1])],
  })
  terms.add(output(), { width: 2, picksExperts: true, tiles: [tile(5, [10, 12], [0.125, 0.75])] })
  expect(terms.rowCount).toBe(10)
  const whole = terms.shape(100)
  expect(whole).toEqual({ partCount: 2, termCount: 2, pieceCount: 1, tokenCount: undefined })
  const feeds = terms.feeds(whole)
  expect(Object.keys(feeds).sort()).toEqual(['index', 'part.0', 'part.1', 'weight'])
  // Rows behind the tokens of a tile are skipped. Token 11 has one term only.
  expect(feeds).toMatchObject({
    index: { shape: [1, 2, 3], data: Int32Array.of(0, 4, 1, 8, 0, 9) },
    weight: { shape: [1, 2, 3, 1], data: Float32Array.of(0.5, 1, 0.25, 0.125, 0, 0.75) },
  })
  // Four rows at once are two tokens, so the third is in a piece of its own, padded.
  const cut = terms.shape(5)
  expect(cut).toEqual({ partCount: 2, termCount: 2, pieceCount: 2, tokenCount: 3 })
  expect(terms.feeds(cut)).toMatchObject({
    index: { shape: [2, 2, 2], data: Int32Array.of(0, 4, 8, 0, 1, 0, 9, 0) },
    weight: { shape: [2, 2, 2, 1], data: Float32Array.of(0.5, 1, 0.125, 0, 0.25, 0, 0.75, 0) },
  })
})

test('an odd number of terms gets one more, of weight 0', () => {
  const terms = new ExpertTerms(0, 1)
  const tile = { ...routed([0], [0.5]), expert: 0 }
  terms.add(output(), { width: 1, picksExperts: false, tiles: [tile] })
  const shape = terms.shape(100)
  expect(shape.termCount).toBe(2)
  expect(terms.feeds(shape)).toMatchObject({ weight: { data: Float32Array.of(0.5, 0) } })
})

test('rows of a batch are cut out of those of an expert', () => {
  const expert = routed([1, 4, 5, 6, 9, 20, 21], [0, 0, 0, 0, 0, 0, 0], 1, 7)
  const piece = (first: number, end: number) => {
    const { from, to } = rowsWithin(expert, first, end)
    return [from, to]
  }
  expect(piece(4, 10)).toEqual([1, 5])
  expect(piece(0, 4)).toEqual([1, 1])
  expect(piece(20, 22)).toEqual([5, 7])
})
