import { expect, test } from 'vitest'
import { ErrorSums } from '../../../../../main/engine/quality/error-sums.ts'

const measured = (...parts: readonly (readonly [number[], number[]])[]): readonly number[] => {
  const sums = new ErrorSums()
  for (const [a, b] of parts) sums.add(Float32Array.from(a), Float32Array.from(b))
  const { relativeError, cosine } = sums.measure()
  return [relativeError, cosine]
}

test('error relative to the original, not to the quantized; cosine of the angle', () => {
  // (3, 4) against (3, 0): the error is 4 of 5, the angle's cosine 9 / (5 · 3).
  expect(
    measured([
      [3, 4],
      [3, 0],
    ]),
  ).toEqual([0.8, 0.6])
  expect(
    measured([
      [3, 0],
      [3, 4],
    ])[0],
  ).toBeCloseTo(4 / 3, 15)
})

test('parts add up to the whole', () => {
  expect(measured([[3], [3]], [[4], [0]])).toEqual([0.8, 0.6])
})

test('zeros: equal when both are, an error of the size of the other when one is', () => {
  expect(
    measured([
      [0, 0],
      [0, 0],
    ]),
  ).toEqual([0, 1])
  expect(
    measured([
      [0, 0],
      [3, 4],
    ]),
  ).toEqual([5, 0])
  expect(
    measured([
      [3, 4],
      [0, 0],
    ]),
  ).toEqual([1, 0])
})

test('a NaN is not hidden', () => {
  expect(
    measured([
      [1, 2],
      [1, Number.NaN],
    ]),
  ).toEqual([Number.NaN, Number.NaN])
})
