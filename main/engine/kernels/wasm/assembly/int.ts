// INT8 per row and INT4 in blocks: true f32 divisions, nearest even by the magic addition, saturating narrowing.
import { amaxBf16 } from './amax'

/** 1.5 · 2^23: adding it leaves the nearest integer of a small value in the low bits. */
const MAGIC: f32 = 12582912
const MAGIC_BITS: i32 = 0x4b400000

const padIn: usize = memory.data(32)
const padOut: usize = memory.data(16)

// @ts-ignore: decorator
@inline
function integers(values: v128, divisor: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.div(values, divisor), f32x4.splat(MAGIC)), i32x4.splat(MAGIC_BITS))
}

// 16 elements -> 16 i8, saturated at -128 and 127.
// @ts-ignore: decorator
@inline
function codes16(from: usize, divisor: v128): v128 {
  const zero = i16x8.splat(0)
  const a = v128.load(from)
  const b = v128.load(from, 16)
  const c0 = integers(v128.shuffle<i16>(zero, a, 0, 8, 1, 9, 2, 10, 3, 11), divisor)
  const c1 = integers(v128.shuffle<i16>(zero, a, 4, 12, 5, 13, 6, 14, 7, 15), divisor)
  const c2 = integers(v128.shuffle<i16>(zero, b, 0, 8, 1, 9, 2, 10, 3, 11), divisor)
  const c3 = integers(v128.shuffle<i16>(zero, b, 4, 12, 5, 13, 6, 14, 7, 15), divisor)
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(c0, c1), i16x8.narrow_i32x4_s(c2, c3))
}

// @ts-ignore: decorator
@inline
function scaleOf(amaxBits: u32, bound: f32): f32 {
  const amax = amaxBits === 0 ? bound : reinterpret<f32>(amaxBits << 16)
  return amax * (<f32>1 / bound)
}

/** scale[row] = amax / 127, or 1 for a zero row. */
export function encodeInt8Rows(source: usize, rows: usize, cols: usize, weight: usize, scales: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    const from = source + row * cols * 2
    const to = weight + row * cols
    const scale = scaleOf(amaxBf16(from, cols), 127)
    store<f32>(scales + (row << 2), scale)
    const divisor = f32x4.splat(scale)
    let col: usize = 0
    for (; col + 16 <= cols; col += 16) v128.store(to + col, codes16(from + (col << 1), divisor))
    if (col < cols) {
      memory.fill(padIn, 0, 32)
      memory.copy(padIn, from + (col << 1), (cols - col) << 1)
      v128.store(padOut, codes16(padIn, divisor))
      memory.copy(to + col, padOut, cols - col)
    }
  }
}

/** scale[row, block] = amax / 7, or 1 for a zero block; rows even, blockSize a multiple of 16 that divides cols. */
export function encodeInt4Blocks(
  source: usize,
  rows: usize,
  cols: usize,
  blockSize: usize,
  weight: usize,
  scales: usize,
): void {
  const blocks = cols / blockSize
  const lowest = i8x16.splat(-8)
  const highest = i8x16.splat(7)
  const nibble = i8x16.splat(0xf)
  for (let row: usize = 0; row < rows; row += 2) {
    const even = source + row * cols * 2
    const odd = even + cols * 2
    const to = weight + (row >> 1) * cols
    for (let block: usize = 0; block < blocks; block++) {
      const begin = block * blockSize
      const evenScale = scaleOf(amaxBf16(even + (begin << 1), blockSize), 7)
      const oddScale = scaleOf(amaxBf16(odd + (begin << 1), blockSize), 7)
      store<f32>(scales + ((row * blocks + block) << 2), evenScale)
      store<f32>(scales + (((row + 1) * blocks + block) << 2), oddScale)
      const evenDivisor = f32x4.splat(evenScale)
      const oddDivisor = f32x4.splat(oddScale)
      for (let col = begin; col < begin + blockSize; col += 16) {
        const low = i8x16.max_s(i8x16.min_s(codes16(even + (col << 1), evenDivisor), highest), lowest)
        const high = i8x16.max_s(i8x16.min_s(codes16(odd + (col << 1), oddDivisor), highest), lowest)
        // The shift moves whole bytes' low nibbles up; what crosses a byte border is masked away first.
        const upper = i16x8.shl(v128.and(high, nibble), 4)
        v128.store(to + col, v128.or(v128.and(low, nibble), upper))
      }
    }
  }
}
