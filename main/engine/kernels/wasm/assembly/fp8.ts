// E4M3 encoders with a common divisor for a run of elements: per tensor, per row, per tile, and power-of-two blocks (MXFP8).
//
// Instead of dividing every element, the divisor's decision points are found once. E4M3(w / d) is a monotone step function of |w|, and in
// E4M3's normal range multiplying w by 2 adds 8 to the code. So eight thresholds on the 7 mantissa bits of BF16 describe it completely
// (step k of the binade is reached when mantissa > limit k); below 2^-6 the eight subnormal codes have thresholds on the whole pattern.
// Exactness: a threshold is d · (M ± half a unit of the quotient's rounding at M), M the midpoint of two codes. d has at most 24
// significant bits and the bracket at most 25, so the product is exact in f64 and the comparison with a BF16 value is decided exactly.

// Thresholds of one divisor take 28 bytes: 8 × i8 mantissa limits, i16 base, i16 smallest normal pattern, 8 × i16 subnormal limits.
const BASE: usize = 8
const NORMAL: usize = 10
const SMALL: usize = 12

const padIn: usize = memory.data(32)
const padOut: usize = memory.data(16)

/** E4M3 byte magnitude of a non-negative f32 or NaN: nearest even, 0x7F above 464. */
export function encodeE4m3(x: f32): u32 {
  const bits = reinterpret<u32>(x) & 0x7fffffff
  if (bits < 0x3c800000) return reinterpret<u32>(reinterpret<f32>(bits) + <f32>16384) & 0xf
  return min<u32>((bits + 0x7ffff + ((bits >> 20) & 1)) / 0x100000 - 960, 0x7f)
}

// @ts-ignore: decorator
@inline
function decodeE4m3(code: u32): f64 {
  return code < 8 ? <f64>code * 0.001953125 : <f64>reinterpret<f32>((code + 960) << 20)
}

/** Smallest BF16 pattern whose quotient by d gets at least `code`. unit: 2^-24 for an f32 quotient, 2^-8 for one rounded to BF16. */
function firstPattern(code: u32, d: f64, unit: f64): i32 {
  const midpoint = (decodeE4m3(code - 1) + decodeE4m3(code)) * 0.5
  const power = reinterpret<f64>(reinterpret<u64>(midpoint) & 0x7ff0000000000000)
  // A tie goes to the even code: upward for even `code`, then the edge itself belongs to it.
  const isTieUp = (code & 1) === 0
  const edge = d * (isTieUp ? midpoint - power * unit : midpoint + power * unit)
  return patternAbove(edge, isTieUp)
}

/** Smallest BF16 pattern with value > edge, or >= edge when `isInclusive`; edge positive, in BF16's normal range. */
function patternAbove(edge: f64, isInclusive: bool): i32 {
  const bits = reinterpret<u64>(edge)
  const floor = <i32>(bits >> 45) - (896 << 7)
  return isInclusive && (bits & 0x1fffffffffff) === 0 ? floor : floor + 1
}

/**
 * Finds the thresholds of a divisor and stores them at `steps`; false when d lies outside [2^-100, 2^100], where patterns or quotients
 * would leave the normal range. unit as in firstPattern.
 */
export function prepareSteps(d: f32, unit: f64, steps: usize): bool {
  if (!(d >= reinterpret<f32>(<u32>(27 << 23)) && d <= reinterpret<f32>(<u32>(227 << 23)))) return false
  const exponent = <i32>(reinterpret<u32>(d) >> 23)
  // The binade of d itself: quotients from 0.5 to 2, where codes are normal.
  let quotient = reinterpret<f32>(<u32>(exponent << 23)) / d
  if (unit > 1e-5) quotient = roundBf16(quotient)
  const first = encodeE4m3(quotient)
  for (let k: u32 = 0; k < 8; k++) {
    const limit = firstPattern(first + k + 1, <f64>d, unit) - (exponent << 7)
    store<i8>(steps + k, <i8>(min(max(limit, 0), 128) - 1))
  }
  store<i16>(steps + BASE, <i16>((exponent << 3) - <i32>first))
  for (let code: u32 = 1; code <= 8; code++) {
    store<i16>(steps + SMALL + ((code - 1) << 1), <i16>(firstPattern(code, <f64>d, unit) - 1))
  }
  // From a quotient of 2^-6 on (after its rounding, whose tie goes to the power of two) the mantissa thresholds hold.
  const edge = <f64>d * 0.015625 * (1 - unit * 0.5)
  store<i16>(steps + NORMAL, <i16>patternAbove(edge, true))
  return true
}

// @ts-ignore: decorator
@inline
function roundBf16(x: f32): f32 {
  const bits = reinterpret<u32>(x)
  return reinterpret<f32>((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000)
}

/** BF16[count] -> E4M3[count] with prepared thresholds. */
export function encodeRun(source: usize, count: usize, target: usize, steps: usize): void {
  const t0 = v128.load8_splat(steps, 0)
  const t1 = v128.load8_splat(steps, 1)
  const t2 = v128.load8_splat(steps, 2)
  const t3 = v128.load8_splat(steps, 3)
  const t4 = v128.load8_splat(steps, 4)
  const t5 = v128.load8_splat(steps, 5)
  const t6 = v128.load8_splat(steps, 6)
  const t7 = v128.load8_splat(steps, 7)
  const base = v128.load16_splat(steps, BASE)
  const normal = v128.load16_splat(steps, NORMAL)
  const magnitudeMask = i16x8.splat(0x7fff)
  let from = source
  let to = target
  let left = count
  while (left > 0) {
    if (left < 16) {
      memory.fill(padIn, 0, 32)
      memory.copy(padIn, from, left << 1)
      from = padIn
      to = padOut
    }
    const a = v128.load(from)
    const b = v128.load(from, 16)
    const ma = v128.and(a, magnitudeMask)
    const mb = v128.and(b, magnitudeMask)
    const mantissa = i8x16.narrow_i16x8_s(
      v128.and(ma, i16x8.splat(0x7f)),
      v128.and(mb, i16x8.splat(0x7f)),
    )
    const ea = i16x8.sub(v128.and(i16x8.shr_u(ma, 4), i16x8.splat(0x7f8)), base)
    const eb = i16x8.sub(v128.and(i16x8.shr_u(mb, 4), i16x8.splat(0x7f8)), base)
    let code = i8x16.min_u(i8x16.narrow_i16x8_u(ea, eb), i8x16.splat(0x7f))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t0))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t1))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t2))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t3))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t4))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t5))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t6))
    code = i8x16.sub(code, i8x16.gt_s(mantissa, t7))
    code = i8x16.min_u(code, i8x16.splat(0x7f))
    const smallA = i16x8.lt_s(ma, normal)
    const smallB = i16x8.lt_s(mb, normal)
    if (v128.any_true(v128.or(smallA, smallB))) {
      const small = i8x16.narrow_i16x8_s(smallCodes(ma, steps), smallCodes(mb, steps))
      code = v128.bitselect(small, code, i8x16.narrow_i16x8_s(smallA, smallB))
    }
    const sign = v128.and(i8x16.narrow_i16x8_s(a, b), i8x16.splat(<i8>0x80))
    v128.store(to, v128.or(code, sign))
    if (left < 16) {
      memory.copy(target + count - left, padOut, left)
      return
    }
    from += 32
    to += 16
    left -= 16
  }
}

function smallCodes(magnitude: v128, steps: usize): v128 {
  let code = i16x8.splat(0)
  for (let k: usize = 0; k < 8; k++) {
    code = i16x8.sub(code, i16x8.gt_s(magnitude, v128.load16_splat(steps + SMALL + (k << 1))))
  }
  return code
}

/** The same by dividing each element: for divisors that have no thresholds (0, subnormal, huge). */
export function divideRun(source: usize, count: usize, target: usize, d: f32, isBf16Quotient: bool): void {
  for (let i: usize = 0; i < count; i++) {
    const bits = <u32>load<u16>(source + (i << 1))
    let quotient = reinterpret<f32>((bits & 0x7fff) << 16) / d
    if (isBf16Quotient && quotient === quotient) quotient = roundBf16(quotient)
    const code = encodeE4m3(quotient)
    // 0 / 0 gives the positive NaN byte whatever the sign of the zero.
    store<u8>(target + i, <u8>(quotient === quotient ? code | ((bits >> 8) & 0x80) : 0x7f))
  }
}
