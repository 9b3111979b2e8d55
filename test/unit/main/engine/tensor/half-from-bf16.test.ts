/** Weights cross the bus as binary16: a wrong shift, rounding or overflow would calibrate another model without any sign of it. */
import { describe, expect, test } from 'vitest'
import { halfFromBf16, halfFromF16 } from '../../../../../main/engine/tensor/half-from-bf16.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const view = new DataView(new ArrayBuffer(4))

function bf16(value: number): number {
  view.setFloat32(0, value)
  return view.getUint16(0)
}

function fromBf16(pattern: number): number {
  view.setUint32(0, pattern * 65536)
  return view.getFloat32(0)
}

/** Written from the definition of binary16. */
function fromHalf(pattern: number): number {
  const sign = pattern >= 0x8000 ? -1 : 1
  const exponent = Math.floor(pattern / 1024) % 32
  const fraction = pattern % 1024
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25))
}

function roundTrip(patterns: readonly number[]): number[] {
  const target = new Uint16Array(patterns.length)
  const { exponent, badIndex } = halfFromBf16([Uint16Array.from(patterns)], target)
  expect(badIndex).toBe(-1)
  return Array.from(target, (pattern) => fromHalf(pattern) * 2 ** -exponent)
}

describe('values survive', () => {
  test.each([
    ['usual weights', [0.02, -0.5, 0.001953125, 0.0078125, -1.9921875]],
    ['pairs of usual weights', [0.02, -0.5, 0.0078125, -1.9921875]],
    ['pairs at both ends of the first range', [2 ** -27, -7.96875, 1.9921875 * 2 ** -27, 4]],
    ['a pair with a zero, and one below the first range', [0, -0.5, 2 ** -28, 1]],
    ['all tiny', [2 ** -100, -1.5 * 2 ** -110, 0]],
    ['a tiny one beside a zero and a subnormal', [2 ** -110, 0, 2 ** -127, -(2 ** -111)]],
    ['all huge', [2 ** 127, -(2 ** 110), 1.9921875 * 2 ** 127]],
    ['one beyond the first range', [3, 12, -0.0625]],
    ['just below the top', [7.96875, 0.001]],
    ['zeros only, with both signs', [0, -0]],
  ])('%s', (_, values) => {
    const patterns = values.map(bf16)
    expect(roundTrip(patterns)).toEqual(patterns.map(fromBf16))
  })

  test('any mixture: exactly from 2^-22 of the largest on, the rest within 2^-33 of it', () => {
    const finite = fc.integer({ min: 0, max: 0xffff }).filter((pattern) => (pattern & 0x7f80) !== 0x7f80)
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 60 }), (patterns) => {
        const expected = patterns.map(fromBf16)
        const largest = Math.max(...expected.map(Math.abs))
        // Beyond that the scale itself would not be a normal f32.
        fc.pre(largest === 0 || largest >= 2 ** -110)
        for (const [index, value] of roundTrip(patterns).entries()) {
          const wanted = expected[index]
          if (Math.abs(wanted) >= largest * 2 ** -22) expect(value).toBe(wanted)
          else expect(Math.abs(value - wanted)).toBeLessThanOrEqual(largest * 2 ** -33)
        }
      }),
      runs(2000),
    )
  })
})

test('several sources lie one behind the other, with one exponent', () => {
  const target = new Uint16Array(3)
  const { exponent } = halfFromBf16([Uint16Array.of(bf16(1)), Uint16Array.of(bf16(-2), bf16(0.5))], target)
  expect(Array.from(target, (pattern) => fromHalf(pattern) * 2 ** -exponent)).toEqual([1, -2, 0.5])
})

test.each([
  ['NaN', 0x7fc0],
  ['a negative infinity', 0xff80],
])('%s is found where it is, across sources', (_, pattern) => {
  const target = new Uint16Array(4)
  const sources = [Uint16Array.of(bf16(1), bf16(2)), Uint16Array.of(bf16(3), pattern)]
  expect(halfFromBf16(sources, target).badIndex).toBe(3)
})

test('binary16 sources are passed on as they are, their infinities found', () => {
  const target = new Uint16Array(3)
  expect(halfFromF16([Uint16Array.of(0x3c00, 0x0001), Uint16Array.of(0xfbff)], target)).toEqual({
    exponent: 0,
    badIndex: -1,
  })
  expect([...target]).toEqual([0x3c00, 0x0001, 0xfbff])
  expect(halfFromF16([Uint16Array.of(0x3c00, 0x7c00, 0)], target).badIndex).toBe(1)
})
