// Largest magnitude patterns. Patterns of non-negative floats order like integers, and NaN and infinity are the largest,
// so one integer maximum answers both "how large" and "is all of it finite".

/** Largest of count BF16 patterns with the sign removed; 0 for none. Any address, any count. */
export function amaxBf16(source: usize, count: usize): u32 {
  const mask = i16x8.splat(0x7fff)
  let a = i16x8.splat(0)
  let b = i16x8.splat(0)
  let c = i16x8.splat(0)
  let d = i16x8.splat(0)
  const end = source + (count << 1)
  let at = source
  for (; at + 64 <= end; at += 64) {
    a = i16x8.max_s(a, v128.and(v128.load(at), mask))
    b = i16x8.max_s(b, v128.and(v128.load(at, 16), mask))
    c = i16x8.max_s(c, v128.and(v128.load(at, 32), mask))
    d = i16x8.max_s(d, v128.and(v128.load(at, 48), mask))
  }
  let largest = maxLane16(i16x8.max_s(i16x8.max_s(a, b), i16x8.max_s(c, d)))
  for (; at < end; at += 2) largest = max<u32>(largest, <u32>load<u16>(at) & 0x7fff)
  return largest
}

/** Largest of count F32 patterns with the sign removed; 0 for none. */
export function amaxF32(source: usize, count: usize): u32 {
  const mask = i32x4.splat(0x7fffffff)
  let a = i32x4.splat(0)
  let b = i32x4.splat(0)
  const end = source + (count << 2)
  let at = source
  for (; at + 32 <= end; at += 32) {
    a = i32x4.max_s(a, v128.and(v128.load(at), mask))
    b = i32x4.max_s(b, v128.and(v128.load(at, 16), mask))
  }
  a = i32x4.max_s(a, b)
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 2, 3, 0, 1))
  a = i32x4.max_s(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2))
  let largest = <u32>i32x4.extract_lane(a, 0)
  for (; at < end; at += 4) largest = max<u32>(largest, load<u32>(at) & 0x7fffffff)
  return largest
}

/** Largest of eight non-negative i16 lanes. */
// @ts-ignore: decorator
@inline
export function maxLane16(v: v128): u32 {
  v = i16x8.max_s(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  v = i16x8.max_s(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2))
  v = i16x8.max_s(v, v128.shuffle<i16>(v, v, 1, 0, 3, 2, 5, 4, 7, 6))
  return <u32>i16x8.extract_lane_u(v, 0)
}
