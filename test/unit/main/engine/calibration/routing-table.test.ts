import { expect, test } from 'vitest'
import { RoutingTable } from '../../../../../main/engine/calibration/routing-table.ts'

test('ties go to the lower index, weights are those of the chosen ones alone', () => {
  const routing = new RoutingTable(2, 4, 2)
  routing.add(0, Float32Array.of(0.2, 0.3, 0.2, 0.3, 0.25, 0.25, 0.25, 0.25))
  expect([...routing.choiceOf(0).experts]).toEqual([1, 3])
  expect([...routing.choiceOf(1).experts]).toEqual([0, 1])
  expect([...routing.choiceOf(0).weights]).toEqual([0.5, 0.5])
})

test('probabilities that underflowed to zero still choose k experts, the first ones', () => {
  const routing = new RoutingTable(1, 5, 3)
  routing.add(0, Float32Array.of(0, 0, 1, 0, 0))
  expect([...routing.choiceOf(0).experts]).toEqual([2, 0, 1])
  expect([...routing.choiceOf(0).weights]).toEqual([1, 0, 0])
})

test('tokens of an expert are ascending, over the borders of batches', () => {
  const routing = new RoutingTable(4, 3, 1)
  routing.add(2, Float32Array.of(0, 1, 0, 0, 0, 1))
  routing.add(0, Float32Array.of(0, 0, 1, 0, 1, 0))
  const of = (expert: number): number[] => {
    const { rows, from, to } = routing.rowsOf(expert)
    return [...rows.subarray(from, to)]
  }
  expect([of(0), of(1), of(2)]).toEqual([[], [1, 2], [0, 3]])
  expect([...routing.counts()]).toEqual([0, 2, 2])
})
