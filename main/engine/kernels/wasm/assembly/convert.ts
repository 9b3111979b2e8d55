// Sources that are not BF16, rounded to BF16 (nearest, ties to even); NaN becomes 0x7FC0.

// @ts-ignore: decorator
@inline
function roundToBf16(bits: u32): u32 {
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bits + 0x7fff + ((bits >> 16) & 1)) >> 16
}

// Four f32 patterns to four BF16 patterns in the low halves of the lanes.
// @ts-ignore: decorator
@inline
function roundLanes(bits: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16)
  const isNan = i32x4.gt_s(v128.and(bits, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000))
  return v128.bitselect(i32x4.splat(0x7fc0), rounded, isNan)
}

/** F32[count] -> BF16[count]. The regions may be the same; they must not overlap otherwise. */
export function f32ToBf16(source: usize, count: usize, target: usize): void {
  let i: usize = 0
  for (; i + 8 <= count; i += 8) {
    const low = roundLanes(v128.load(source + (i << 2)))
    const high = roundLanes(v128.load(source + (i << 2), 16))
    v128.store(target + (i << 1), i16x8.narrow_i32x4_u(low, high))
  }
  for (; i < count; i++) store<u16>(target + (i << 1), <u16>roundToBf16(load<u32>(source + (i << 2))))
}

// Exponent and mantissa moved to their f32 places are the value times 2^-112, subnormals included; the product is exact.
// @ts-ignore: decorator
@inline
function halfToF32(half: u32): u32 {
  const magnitude = half & 0x7fff
  const sign = (half & 0x8000) << 16
  if (magnitude >= 0x7c00) return sign | 0x7f800000 | ((magnitude & 0x3ff) << 13)
  return sign | reinterpret<u32>(reinterpret<f32>(magnitude << 13) * reinterpret<f32>(<u32>((127 + 112) << 23)))
}

/** F16[count] -> BF16[count]. */
export function f16ToBf16(source: usize, count: usize, target: usize): void {
  for (let i: usize = 0; i < count; i++) {
    store<u16>(target + (i << 1), <u16>roundToBf16(halfToF32(<u32>load<u16>(source + (i << 1)))))
  }
}
