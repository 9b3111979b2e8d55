// NVFP4 with block scales from block maxima. Groups of 16 elements are the unit; a block is one or more groups.
// All divisions are true f32 divisions, so the codes equal the reference for every finite input in the supported scale range.
import { touch } from './touch'

/** Groups handled between two passes; their maxima and divisors fit the scratch below, their data the first-level cache. */
const CHUNK_GROUPS: usize = 256
const groupAmax: usize = memory.data(1024 + 16) // u16 pattern << 16 = f32 per group, later per block
const divisors: usize = memory.data(1024 + 16) // f32 per group
const scaleBytes: usize = memory.data(256 + 16)

// In memory, because the engine keeps loaded values in registers but builds literal vectors anew in every round of a loop.
// 1.5 · 2^22, 2^23 and 2^24 have 0.5, 1 and 2 as their last places; the added 0, 2 and 4 last places shift the count to the code.
const magics: usize = memory.data<f32>([6291456, 12582912 + 2, 25165824 + 8])
const masks: usize = memory.data<u32>([0x7fff7fff, 0xffff0000, 0x00070007, 0x00010001, 0x08080808, 0x00ff00ff])
/** Smallest tensor scale for the fast path: every divisor stays normal, so quotients are finite. */
const SMALLEST_PLAIN_SCALE: f32 = 7.888609052210118e-31 // 2^-100

/** 1.5 · 2^23: adding it leaves the nearest integer (ties to even) in the low bits. */
const MAGIC: f32 = 12582912
const MAGIC_BITS: i32 = 0x4b400000

/**
 * BF16[blockCount · groupsPerBlock · 16] -> packed codes and E4M3 block scales; groupsPerBlock 1..16.
 * The caller guarantees 480 · tensorScale <= 2^16, below which no negative quotient underflows to -0.
 */
export function encodeNvfp4(
  source: usize,
  blockCount: usize,
  groupsPerBlock: usize,
  tensorScale: f32,
  weight: usize,
  weightScale: usize,
): void {
  const chunkBlocks = CHUNK_GROUPS / groupsPerBlock
  for (let done: usize = 0; done < blockCount; done += chunkBlocks) {
    const blocks = min<usize>(chunkBlocks, blockCount - done)
    const groups = blocks * groupsPerBlock
    const from = source + done * groupsPerBlock * 32
    touch(from, groups << 5)
    touch(weight + done * groupsPerBlock * 8, groups << 3)
    touch(weightScale + done, blocks)
    findGroupMaxima(from, groups)
    if (groupsPerBlock > 1) joinGroups(blocks, groupsPerBlock)
    chooseScales(blocks, tensorScale)
    memory.copy(weightScale + done, scaleBytes, blocks)
    if (groupsPerBlock > 1) spreadDivisors(blocks, groupsPerBlock)
    const to = weight + done * groupsPerBlock * 8
    if (tensorScale >= SMALLEST_PLAIN_SCALE) encodeGroups(from, groups, to)
    else encodeGroupsSafely(from, groups, to)
  }
}

/** The same with given block scale bytes (static formats). */
export function encodeNvfp4Scaled(
  source: usize,
  blockCount: usize,
  groupsPerBlock: usize,
  tensorScale: f32,
  weight: usize,
  weightScale: usize,
): void {
  const chunkBlocks = CHUNK_GROUPS / groupsPerBlock
  for (let done: usize = 0; done < blockCount; done += chunkBlocks) {
    const blocks = min<usize>(chunkBlocks, blockCount - done)
    memory.copy(scaleBytes, weightScale + done, blocks)
    for (let block: usize = 0; block < blocks; block += 4) {
      const codes = v128.load32_zero(scaleBytes + block)
      const wide = u32x4FromBytes(codes)
      v128.store(divisors + (block << 2), f32x4.mul(decodeScales(wide), f32x4.splat(tensorScale)))
    }
    if (groupsPerBlock > 1) spreadDivisors(blocks, groupsPerBlock)
    encodeGroupsSafely(
      source + done * groupsPerBlock * 32,
      blocks * groupsPerBlock,
      weight + done * groupsPerBlock * 8,
    )
  }
}

// @ts-ignore: decorator
@inline
function u32x4FromBytes(bytes: v128): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes))
}

// Four groups at a time; eight lanes of each are halved until one lane per group is left, in the upper half where f32 has its bits.
function findGroupMaxima(source: usize, groups: usize): void {
  const magnitudes = v128.load32_splat(masks)
  const upper = v128.load32_splat(masks, 4)
  for (let group: usize = 0; group < groups; group += 4) {
    const at = source + (group << 5)
    const left = groups - group
    const m0 = groupMaximum(at, magnitudes)
    const m1 = left > 1 ? groupMaximum(at + 32, magnitudes) : m0
    const m2 = left > 2 ? groupMaximum(at + 64, magnitudes) : m0
    const m3 = left > 3 ? groupMaximum(at + 96, magnitudes) : m0
    const low = i16x8.max_s(v128.shuffle<i64>(m0, m1, 0, 2), v128.shuffle<i64>(m0, m1, 1, 3))
    const high = i16x8.max_s(v128.shuffle<i64>(m2, m3, 0, 2), v128.shuffle<i64>(m2, m3, 1, 3))
    const pairs = i16x8.max_s(
      v128.shuffle<i32>(low, high, 0, 2, 4, 6),
      v128.shuffle<i32>(low, high, 1, 3, 5, 7),
    )
    v128.store(groupAmax + (group << 2), v128.and(i16x8.max_s(pairs, i32x4.shl(pairs, 16)), upper))
  }
}

// @ts-ignore: decorator
@inline
function groupMaximum(at: usize, magnitudes: v128): v128 {
  return i16x8.max_s(v128.and(v128.load(at), magnitudes), v128.and(v128.load(at, 16), magnitudes))
}

function joinGroups(blocks: usize, groupsPerBlock: usize): void {
  let from = groupAmax
  for (let block: usize = 0; block < blocks; block++) {
    let largest: u32 = 0
    for (const end = from + (groupsPerBlock << 2); from < end; from += 4) largest = max<u32>(largest, load<u32>(from))
    store<u32>(groupAmax + (block << 2), largest)
  }
}

// Backwards, because the spread array grows over the compact one.
function spreadDivisors(blocks: usize, groupsPerBlock: usize): void {
  let to = divisors + ((blocks * groupsPerBlock) << 2)
  for (let block: usize = blocks; block > 0; block--) {
    const divisor = load<f32>(divisors + ((block - 1) << 2))
    const begin = to - (groupsPerBlock << 2)
    while (to > begin) {
      to -= 4
      store<f32>(to, divisor)
    }
  }
}

/** Block maxima in groupAmax -> E4M3 bytes in scaleBytes and f32 divisors (scale · tensorScale), four blocks at a time. */
function chooseScales(blocks: usize, tensorScale: f32): void {
  const perBlock = f32x4.splat(<f32>6 * tensorScale)
  const one = f32x4.splat(1)
  for (let block: usize = 0; block < blocks; block += 4) {
    let t = f32x4.div(v128.load(groupAmax + (block << 2)), perBlock)
    t = v128.bitselect(one, t, f32x4.eq(t, f32x4.splat(0)))
    // pmax and pmin return their first operand when it is NaN.
    t = f32x4.pmin(f32x4.pmax(t, f32x4.splat(0.001953125)), f32x4.splat(448))
    const codes = encodeScales(t)
    const narrow = i16x8.narrow_i32x4_u(codes, codes)
    v128.store32_lane(scaleBytes + block, i8x16.narrow_i16x8_u(narrow, narrow), 0)
    v128.store(divisors + (block << 2), f32x4.mul(decodeScales(codes), f32x4.splat(tensorScale)))
  }
}

/** E4M3 codes of values in [2^-9, 448] or NaN (either sign of NaN gives 0x7F). */
// @ts-ignore: decorator
@inline
function encodeScales(t: v128): v128 {
  const bits = v128.and(t, i32x4.splat(0x7fffffff))
  const odd = v128.and(i32x4.shr_u(bits, 20), i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7ffff)), odd), 20)
  const normal = i32x4.min_s(i32x4.sub(rounded, i32x4.splat(960)), i32x4.splat(0x7f))
  // 2^14 has the E4M3 subnormal spacing 2^-9 as its last place.
  const subnormal = v128.and(f32x4.add(t, f32x4.splat(16384)), i32x4.splat(0xf))
  return v128.bitselect(subnormal, normal, f32x4.lt(t, f32x4.splat(0.015625)))
}

/** f32 values of E4M3 codes 0..0x7E. For 0x7F it gives 480, which only occurs with tensor scale 0, where the product is 0 as well. */
// @ts-ignore: decorator
@inline
function decodeScales(codes: v128): v128 {
  const normal = i32x4.shl(i32x4.add(codes, i32x4.splat(960)), 20)
  const subnormal = f32x4.mul(f32x4.convert_i32x4_s(codes), f32x4.splat(0.001953125))
  return v128.bitselect(subnormal, normal, i32x4.lt_s(codes, i32x4.splat(8)))
}

/** Magnitude codes 0..7 in the low bits of four quotients >= 0 (or NaN, which gives 7).
 *  The grid is 0.5 up to 2, 1 up to 4, 2 up to 6: the lowest of the three roundings is the right one. */
// @ts-ignore: decorator
@inline
function magnitudeCodes(quotient: v128): v128 {
  const fine = f32x4.add(f32x4.add(quotient, quotient), f32x4.splat(MAGIC))
  const middle = f32x4.add(quotient, f32x4.splat(MAGIC + 2))
  const coarse = f32x4.add(f32x4.mul(quotient, f32x4.splat(0.5)), f32x4.splat(MAGIC + 4))
  const code = i32x4.min_u(
    i32x4.min_u(fine, middle),
    i32x4.min_u(coarse, i32x4.splat(MAGIC_BITS + 7)),
  )
  return v128.and(code, i32x4.splat(7))
}

/** One group of 16 -> 8 packed bytes in the low halves of the i16 lanes. */
// @ts-ignore: decorator
@inline
function encodeGroup(at: usize, divisor: v128): v128 {
  const zero = i16x8.splat(0)
  const mask = i16x8.splat(0x7fff)
  const a = v128.load(at)
  const b = v128.load(at, 16)
  const ma = v128.and(a, mask)
  const mb = v128.and(b, mask)
  const c0 = magnitudeCodes(f32x4.div(v128.shuffle<i16>(zero, ma, 0, 8, 1, 9, 2, 10, 3, 11), divisor))
  const c1 = magnitudeCodes(f32x4.div(v128.shuffle<i16>(zero, ma, 4, 12, 5, 13, 6, 14, 7, 15), divisor))
  const c2 = magnitudeCodes(f32x4.div(v128.shuffle<i16>(zero, mb, 0, 8, 1, 9, 2, 10, 3, 11), divisor))
  const c3 = magnitudeCodes(f32x4.div(v128.shuffle<i16>(zero, mb, 4, 12, 5, 13, 6, 14, 7, 15), divisor))
  const codes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(c0, c1), i16x8.narrow_i32x4_u(c2, c3))
  // Sign bit for negative values other than -0: magnitude - 1 is negative for zeros only.
  const sa = v128.andnot(a, i16x8.sub(ma, i16x8.splat(1)))
  const sb = v128.andnot(b, i16x8.sub(mb, i16x8.splat(1)))
  const signs = v128.and(i16x8.shr_u(i8x16.narrow_i16x8_s(sa, sb), 4), i8x16.splat(8))
  const all = v128.or(codes, signs)
  return v128.and(v128.or(all, i16x8.shr_u(all, 4)), i16x8.splat(0xff))
}

// For any divisor: zero, subnormal, or far too small for its group.
function encodeGroupsSafely(source: usize, groups: usize, weight: usize): void {
  let group: usize = 0
  for (; group + 2 <= groups; group += 2) {
    const at = source + (group << 5)
    const low = encodeGroup(at, v128.load32_splat(divisors + (group << 2)))
    const high = encodeGroup(at + 32, v128.load32_splat(divisors + (group << 2), 4))
    v128.store(weight + (group << 3), i8x16.narrow_i16x8_u(low, high))
  }
  if (group < groups) {
    const last = encodeGroup(source + (group << 5), v128.load32_splat(divisors + (group << 2)))
    v128.store64_lane(weight + (group << 3), i8x16.narrow_i16x8_u(last, last), 0)
  }
}

/** Eight magnitude codes 0..7 in i16 lanes; quotients must stay below 2^14. Even and odd elements are divided apart (an f32 is a BF16
 *  in the upper half of a lane) and meet again in their i16 lanes, where the lowest of the three roundings is chosen. */
// @ts-ignore: decorator
@inline
function eightCodes(magnitudes: v128, divisor: v128, upper: v128, fine: v128, middle: v128, coarse: v128): v128 {
  const odd = f32x4.div(v128.and(magnitudes, upper), divisor)
  const even = f32x4.div(i32x4.shl(magnitudes, 16), divisor)
  const f = joinLanes(f32x4.add(even, fine), f32x4.add(odd, fine))
  const m = joinLanes(f32x4.add(even, middle), f32x4.add(odd, middle))
  const c = joinLanes(f32x4.add(even, coarse), f32x4.add(odd, coarse))
  return i16x8.min_u(i16x8.min_u(f, m), c)
}

// Low halves of the lanes of both: even elements to even i16 lanes.
// @ts-ignore: decorator
@inline
function joinLanes(even: v128, odd: v128): v128 {
  return v128.shuffle<i16>(even, i32x4.shl(odd, 16), 0, 9, 2, 11, 4, 13, 6, 15)
}

/** The common case: divisors of tensors with a normal scale that cover their groups, so that quotients stay below 9. */
function encodeGroups(source: usize, groups: usize, weight: usize): void {
  const fine = v128.load32_splat(magics)
  const middle = v128.load32_splat(magics, 4)
  const coarse = v128.load32_splat(magics, 8)
  const mask = v128.load32_splat(masks)
  const upper = v128.load32_splat(masks, 4)
  const seven = v128.load32_splat(masks, 8)
  const one = v128.load32_splat(masks, 12)
  const eight = v128.load32_splat(masks, 16)
  const lowBytes = v128.load32_splat(masks, 20)
  for (let group: usize = 0; group < groups; group++) {
    const at = source + (group << 5)
    const divisor = v128.load32_splat(divisors + (group << 2))
    const a = v128.load(at)
    const b = v128.load(at, 16)
    const ma = v128.and(a, mask)
    const mb = v128.and(b, mask)
    const ca = i16x8.min_u(eightCodes(ma, divisor, upper, fine, middle, coarse), seven)
    const cb = i16x8.min_u(eightCodes(mb, divisor, upper, fine, middle, coarse), seven)
    // Sign bit for negative values other than -0: magnitude - 1 is negative for zeros only.
    const sa = v128.andnot(a, i16x8.sub(ma, one))
    const sb = v128.andnot(b, i16x8.sub(mb, one))
    const signs = v128.and(i16x8.shr_u(i8x16.narrow_i16x8_s(sa, sb), 4), eight)
    const all = v128.or(i8x16.narrow_i16x8_u(ca, cb), signs)
    const bytes = v128.and(v128.or(all, i16x8.shr_u(all, 4)), lowBytes)
    v128.store64_lane(weight + (group << 3), i8x16.narrow_i16x8_u(bytes, bytes), 0)
  }
}
