/** Reinterprets f32 values and their bit patterns. Shared scratch: one element, written before every read, so calls cannot mix. */
const value = new Float32Array(1)
const bits = new Uint32Array(value.buffer)

/** Bit pattern (u32) of the f32 nearest to `number`. A NaN keeps no particular payload. */
export function f32Bits(number: number): number {
  value[0] = number
  return bits[0]!
}

/** The f32 whose bit pattern is `pattern` (u32). */
export function f32FromBits(pattern: number): number {
  bits[0] = pattern
  return value[0]!
}

/** f32 product of two f32 values. The double product is exact, so one rounding happens; subnormals are kept. */
export function mulF32(a: number, b: number): number {
  return Math.fround(a * b)
}

/** f32 quotient of two f32 values, correctly rounded: a double quotient of 24-bit values never lies so close to an f32 midpoint
 *  that rounding twice differs. x/0 is ±Infinity, 0/0 NaN. */
export function divF32(a: number, b: number): number {
  return Math.fround(a / b)
}

/** Nearest integer, ties to even, for |x| < 2^51. NaN stays NaN, -0.3 gives 0 or -0. Source: rule R6 of the export. */
export function roundHalfEven(x: number): number {
  // 1.5 · 2^52: every double of that size is an integer, so the addition itself rounds to nearest even.
  const magic = 6755399441055744
  return x + magic - magic
}
