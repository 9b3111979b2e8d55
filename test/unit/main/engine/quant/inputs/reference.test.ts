/** Rounding of inputs on values small enough to check by hand. A scale used the wrong way round, a wrong tie or a lost sign shows here. */
import { describe, expect, test } from 'vitest'
import type { InputArithmetic } from '../../../../../../main/engine/quant/inputs/input-arithmetic.ts'
import { roundInputs } from '../../../../../../main/engine/quant/inputs/reference.ts'

const rounded = (arithmetic: InputArithmetic, values: readonly number[], scale = Number.NaN): number[] => [
  ...roundInputs(arithmetic, Float32Array.from(values), values.length, scale),
]
const block = (values: readonly number[], size: number): number[] => [
  ...values,
  ...new Array<number>(size - values.length).fill(0),
]

describe('stored scales', () => {
  test('fp8: divided by the scale, rounded to E4M3, multiplied again; 448 times the scale is the most', () => {
    // 0.5 has the steps 17 -> 16 or 18 (tie to even: 16), 19 -> 20, 2^-9 the smallest, 2^-10 ties to zero, 464 and beyond saturate.
    const values = [8.5, -9.5, 2 ** -10, 2 ** -11, 224, 232, 1000, -Infinity, 0]
    expect(rounded({ kind: 'fp8_tensor' }, values, 0.5)).toEqual([
      8,
      -10,
      2 ** -10,
      0,
      224,
      224,
      224,
      -224,
      0,
    ])
  })

  test('int8: ties to even, -128 and 127 at most', () => {
    expect(rounded({ kind: 'int8_tensor' }, [0.25, 0.75, -1.25, 100, -100], 0.5)).toEqual([
      0, 1, -1, 63.5, -64,
    ])
  })

  test('nvfp4: the block scale is relative to the stored scale', () => {
    // Largest 12: 12 / (6 · 0.5) = 4 is an E4M3 value, the step 4 · 0.5 = 2, so the grid is 0 1 2 3 4 6 8 12.
    const values = [12, -11, 5, 7, 10, 0.5, 1.5, 2.5, 0.51, -0.4]
    expect(rounded({ kind: 'nvfp4', blockSize: 16 }, block(values, 16), 0.5)).toEqual(
      block([12, -12, 4, 8, 8, 0, 2, 2, 1, -0], 16),
    )
  })

  test('nvfp4: a block scale beyond 448 saturates, and so do its values', () => {
    const [largest] = rounded({ kind: 'nvfp4', blockSize: 16 }, block([1e6], 16), 1)
    expect(largest).toBe(6 * 448)
  })

  test('nvfp4: a block too small for the smallest block scale becomes zero', () => {
    expect(rounded({ kind: 'nvfp4', blockSize: 16 }, block([2 ** -12], 16), 1)).toEqual(block([], 16))
  })
})

describe('scales of their own', () => {
  test('fp8 per token: the largest magnitude of a row becomes 448 steps', () => {
    const x = Float32Array.of(448, 17, 0.25, 4.48, 0.17, -0.0025)
    const [a, b, c, d, e, f] = roundInputs({ kind: 'fp8_token' }, x, 3, Number.NaN)
    expect([a, b, c]).toEqual([448, 16, 0.25])
    expect([d, e, f].map((value) => value.toPrecision(4))).toEqual(['4.480', '0.1600', '-0.002500'])
  })

  test('fp8 per group of columns: a neighbour with large values does not matter', () => {
    expect(rounded({ kind: 'fp8_group', blockSize: 2 }, [448, 17, 0.4375, 17 / 1024])).toEqual([
      448,
      16,
      0.4375,
      16 / 1024,
    ])
  })

  test('int8 per token', () => {
    expect(rounded({ kind: 'int8_token' }, [127, -126.5, 0.5, 1.5])).toEqual([127, -126, 0, 2])
  })

  test('mxfp8: the smallest power of two that covers the block; 448 is covered by 1, 449 is not', () => {
    expect(rounded({ kind: 'mxfp8', blockSize: 32 }, block([448, 17, 2 ** -10], 32)).slice(0, 3)).toEqual([
      448, 16, 0,
    ])
    expect(rounded({ kind: 'mxfp8', blockSize: 32 }, block([449, 17, 19], 32)).slice(0, 3)).toEqual([
      448, 16, 20,
    ])
  })

  test('mxfp4: 6 is covered by 1; ties go to the even code', () => {
    const values = [6, 5, 3.5, 2.5, 1.75, -1.25, 0.75, 0.25]
    expect(rounded({ kind: 'mxfp4', blockSize: 32 }, block(values, 32)).slice(0, 8)).toEqual([
      6, 4, 4, 2, 2, -1, 1, 0,
    ])
  })

  test.each<InputArithmetic>([
    { kind: 'fp8_token' },
    { kind: 'int8_token' },
    { kind: 'fp8_group', blockSize: 32 },
    { kind: 'mxfp8', blockSize: 32 },
    { kind: 'mxfp4', blockSize: 32 },
    { kind: 'nvfp4', blockSize: 32 },
  ])('$kind: zeros stay zeros, a NaN stays a NaN', (arithmetic) => {
    expect(rounded(arithmetic, block([], 32), 1)).toEqual(block([], 32))
    expect(rounded(arithmetic, block([1, Number.NaN], 32), 1)[1]).toBeNaN()
  })
})
