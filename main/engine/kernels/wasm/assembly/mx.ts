// MXFP8 and MXFP4: blocks of 32 with a power-of-two scale. Division by it is exact, so patterns are rounded directly as integers.
import { maxLane16 } from './amax'
import { divideRun } from './fp8'
import { CHUNK_BYTES, touch } from './touch'

const BLOCK_BYTES: usize = 64
const CHUNK_BLOCKS: usize = CHUNK_BYTES / BLOCK_BYTES

// In memory, because the engine keeps loaded values in registers but builds literal vectors anew in every round of a loop.
const constants: usize = memory.data<u16>([0x7fff, 1, 0x1f, 0x0808, 0xff])

function touchChunk(from: usize, blocks: usize, weight: usize, weightBytes: usize, weightScale: usize): void {
  touch(from, blocks * BLOCK_BYTES)
  touch(weight, blocks * weightBytes)
  touch(weightScale, blocks)
}

// @ts-ignore: decorator
@inline
function blockAmax(at: usize): u32 {
  const mask = i16x8.splat(0x7fff)
  const low = i16x8.max_s(v128.and(v128.load(at), mask), v128.and(v128.load(at, 16), mask))
  const high = i16x8.max_s(v128.and(v128.load(at, 32), mask), v128.and(v128.load(at, 48), mask))
  return maxLane16(i16x8.max_s(low, high))
}

/** Smallest e + 127 >= 0 with 2^e · (1 + limitMantissa / 128) · 2^limitExponent >= the maximum. */
// @ts-ignore: decorator
@inline
function exponentByte(amax: u32, limitExponent: i32, limitMantissa: u32): i32 {
  return max<i32>(<i32>(amax >> 7) - limitExponent + <i32>((amax & 0x7f) > limitMantissa), 0)
}

// Eight E4M3 codes for quotients below 2^-6: |w| · 2^-e rounded to multiples of 2^-9 by adding 2^14.
// @ts-ignore: decorator
@inline
function subnormalCodes(magnitude: v128, inverse: v128): v128 {
  const zero = i16x8.splat(0)
  const low = v128.shuffle<i16>(zero, magnitude, 0, 8, 1, 9, 2, 10, 3, 11)
  const high = v128.shuffle<i16>(zero, magnitude, 4, 12, 5, 13, 6, 14, 7, 15)
  const magic = f32x4.splat(16384)
  const keep = i32x4.splat(0xf)
  return i16x8.narrow_i32x4_u(
    v128.and(f32x4.add(f32x4.mul(low, inverse), magic), keep),
    v128.and(f32x4.add(f32x4.mul(high, inverse), magic), keep),
  )
}

// Nearest even from 7 to 3 mantissa bits.
// @ts-ignore: decorator
@inline
function normalCodes(magnitude: v128, base: v128): v128 {
  const odd = v128.and(i16x8.shr_u(magnitude, 4), i16x8.splat(1))
  return i16x8.sub(i16x8.shr_u(i16x8.add(i16x8.add(magnitude, i16x8.splat(7)), odd), 4), base)
}

/** BF16[blockCount · 32] -> E4M3 codes and exponent bytes. */
export function encodeMxfp8(source: usize, blockCount: usize, weight: usize, weightScale: usize): void {
  for (let block: usize = 0; block < blockCount; block++) {
    const from = source + block * BLOCK_BYTES
    if (block % CHUNK_BLOCKS === 0) touchChunk(from, min(CHUNK_BLOCKS, blockCount - block), weight + (block << 5), 32, weightScale + block)
    const exponent = exponentByte(blockAmax(from), 8, 0x60)
    store<u8>(weightScale + block, <u8>exponent)
    const to = weight + (block << 5)
    if (exponent > 6) {
      encodeMxfp8Half(from, to, exponent)
      encodeMxfp8Half(from + 32, to + 16, exponent)
    } else {
      divideRun(from, 32, to, scaleValue(exponent), false)
    }
  }
}

// @ts-ignore: decorator
@inline
function encodeMxfp8Half(from: usize, to: usize, exponent: i32): void {
  const mask = i16x8.splat(0x7fff)
  const base = i16x8.splat(<i16>((exponent << 3) - 56))
  const normal = i16x8.splat(<i16>((exponent - 6) << 7))
  const a = v128.load(from)
  const b = v128.load(from, 16)
  const ma = v128.and(a, mask)
  const mb = v128.and(b, mask)
  let ca = normalCodes(ma, base)
  let cb = normalCodes(mb, base)
  const smallA = i16x8.lt_s(ma, normal)
  const smallB = i16x8.lt_s(mb, normal)
  if (v128.any_true(v128.or(smallA, smallB))) {
    const inverse = f32x4.splat(reinterpret<f32>(<u32>((254 - exponent) << 23)))
    ca = v128.bitselect(subnormalCodes(ma, inverse), ca, smallA)
    cb = v128.bitselect(subnormalCodes(mb, inverse), cb, smallB)
  }
  const sign = v128.and(i8x16.narrow_i16x8_s(a, b), i8x16.splat(<i8>0x80))
  v128.store(to, v128.or(i8x16.narrow_i16x8_u(ca, cb), sign))
}

// 2^(exponent - 127); byte 0 is a subnormal f32.
function scaleValue(exponent: i32): f32 {
  return exponent === 0 ? reinterpret<f32>(<u32>0x00400000) : reinterpret<f32>(<u32>(exponent << 23))
}

/** BF16[blockCount · 32] -> packed E2M1 codes and exponent bytes. */
export function encodeMxfp4(source: usize, blockCount: usize, weight: usize, weightScale: usize): void {
  const mask = v128.load16_splat(constants, 0)
  const one = v128.load16_splat(constants, 2)
  const belowHalf = v128.load16_splat(constants, 4)
  const signBit = v128.load16_splat(constants, 6)
  const lowByte = v128.load16_splat(constants, 8)
  for (let block: usize = 0; block < blockCount; block++) {
    const from = source + block * BLOCK_BYTES
    if (block % CHUNK_BLOCKS === 0) touchChunk(from, min(CHUNK_BLOCKS, blockCount - block), weight + (block << 4), 16, weightScale + block)
    const a = v128.load(from)
    const b = v128.load(from, 16)
    const c = v128.load(from, 32)
    const d = v128.load(from, 48)
    const ma = v128.and(a, mask)
    const mb = v128.and(b, mask)
    const mc = v128.and(c, mask)
    const md = v128.and(d, mask)
    const amax = maxLane16(i16x8.max_s(i16x8.max_s(ma, mb), i16x8.max_s(mc, md)))
    const exponent = exponentByte(amax, 2, 0x40)
    store<u8>(weightScale + block, <u8>exponent)
    const to = weight + (block << 4)
    // Outside, 0.25 · 2^e is no normal BF16, or small quotients underflow to zero and change their sign bit.
    if (exponent > 2 && exponent < 144) {
      const base = i16x8.splat(<i16>((exponent << 1) - 2))
      const quarter = i16x8.splat(<i16>((exponent - 2) << 7))
      const threeQuarters = i16x8.splat(<i16>(((exponent - 1) << 7) | 0x40))
      let low = i8x16.narrow_i16x8_u(
        downCodes(ma, belowHalf, base, quarter, threeQuarters),
        downCodes(mb, belowHalf, base, quarter, threeQuarters),
      )
      let high = i8x16.narrow_i16x8_u(
        downCodes(mc, belowHalf, base, quarter, threeQuarters),
        downCodes(md, belowHalf, base, quarter, threeQuarters),
      )
      // Sign bit for negative values and for both zeros: magnitude - 1 is negative for zeros only.
      const signsLow = i8x16.narrow_i16x8_s(v128.or(a, i16x8.sub(ma, one)), v128.or(b, i16x8.sub(mb, one)))
      const signsHigh = i8x16.narrow_i16x8_s(v128.or(c, i16x8.sub(mc, one)), v128.or(d, i16x8.sub(md, one)))
      low = v128.or(low, v128.and(i16x8.shr_u(signsLow, 4), signBit))
      high = v128.or(high, v128.and(i16x8.shr_u(signsHigh, 4), signBit))
      low = v128.and(v128.or(low, i16x8.shr_u(low, 4)), lowByte)
      high = v128.and(v128.or(high, i16x8.shr_u(high, 4)), lowByte)
      v128.store(to, i8x16.narrow_i16x8_u(low, high))
    } else {
      for (let i: usize = 0; i < 16; i++) {
        const even = slowCode(<u32>load<u16>(from + (i << 2)), exponent)
        store<u8>(to + i, <u8>(even | (slowCode(<u32>load<u16>(from + (i << 2), 2), exponent) << 4)))
      }
    }
  }
}

// Ties go down: adding one less than half of the dropped part. Below 1 the grid is wider than the pattern says; there counting is right,
// and the larger of both is the code.
// @ts-ignore: decorator
@inline
function downCodes(magnitude: v128, belowHalf: v128, base: v128, quarter: v128, threeQuarters: v128): v128 {
  const rounded = i16x8.sub(i16x8.shr_u(i16x8.add(magnitude, belowHalf), 6), base)
  const counted = i16x8.add(i16x8.gt_s(magnitude, quarter), i16x8.gt_s(magnitude, threeQuarters))
  return i16x8.max_s(rounded, i16x8.neg(counted))
}

function slowCode(pattern: u32, exponent: i32): u32 {
  const x = reinterpret<f32>(pattern << 16) / scaleValue(exponent)
  const magnitude = abs<f32>(x)
  let code: u32 = x <= 0 ? 8 : 0
  if (magnitude > 0.25) code++
  if (magnitude > 0.75) code++
  if (magnitude > 1.25) code++
  if (magnitude > 1.75) code++
  if (magnitude > 2.5) code++
  if (magnitude > 3.5) code++
  if (magnitude > 5) code++
  return code
}
