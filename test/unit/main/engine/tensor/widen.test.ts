import { expect, test } from 'vitest'
import { widenToF32 } from '../../../../../main/engine/tensor/widen.ts'

const widen = (dtype: 'BF16' | 'F16' | 'F32', bytes: number[], count: number): [number, number[]] => {
  const target = new Float32Array(count)
  return [widenToF32(dtype, Uint8Array.from(bytes), target), [...target]]
}

test('BF16: one, minus two, largest finite, smallest subnormal', () => {
  const [bad, values] = widen('BF16', [0x80, 0x3f, 0x00, 0xc0, 0x7f, 0x7f, 0x01, 0x00], 4)
  expect(bad).toBe(-1)
  expect(values).toEqual([1, -2, 3.3895313892515355e38, 2 ** -133])
})

test('F16 and F32', () => {
  expect(widen('F16', [0x00, 0x3c, 0xff, 0x7b, 0x01, 0x80], 3)).toEqual([-1, [1, 65504, -(2 ** -24)]])
  expect(widen('F32', [0x00, 0x00, 0x80, 0x3f], 1)).toEqual([-1, [1]])
})

test.each<['BF16' | 'F16' | 'F32', number[]]>([
  ['BF16', [0, 0, 0x80, 0x7f]],
  ['BF16', [0, 0, 0xc0, 0xff]],
  ['F16', [0, 0, 0x00, 0xfc]],
  ['F32', [0, 0, 0, 0, 0x00, 0x00, 0xc0, 0x7f]],
])('%s: the first NaN or infinity is found', (dtype, bytes) => {
  expect(widen(dtype, bytes, 2)[0]).toBe(1)
})

test('a source at an odd position is read all the same', () => {
  const bytes = Uint8Array.of(9, 0x80, 0x3f, 0x00, 0x40)
  const target = new Float32Array(2)
  expect(widenToF32('BF16', bytes.subarray(1), target)).toBe(-1)
  expect([...target]).toEqual([1, 2])
})
