/**
 * E8M0 block exponents of the MX formats: byte = e + 127, value 2^e. Rule R7 of the export: e is the smallest integer with
 * 2^e · limit >= amax, from -127 up; found with integers, because the floating-point logarithm only happens to agree.
 */

/** Exponent byte for a block whose largest BF16 magnitude has this pattern; limit 448 (E4M3). A zero block gives 0. */
export function e8m0ForE4m3(amaxPattern: number): number {
  return exponentByte(amaxPattern, 8, 0x60) // 448 = 1.75 · 2^8, 1.75 = 1 + 0x60 / 0x80
}

/** The same for limit 6 (E2M1). */
export function e8m0ForE2m1(amaxPattern: number): number {
  return exponentByte(amaxPattern, 2, 0x40) // 6 = 1.5 · 2^2, 1.5 = 1 + 0x40 / 0x80
}

/** f32 value 2^(byte - 127); byte 0 is 2^-127, a subnormal f32. Byte 255 (NaN in OCP MX) is never written here and gives 2^128. */
export function decodeE8m0(byte: number): number {
  return E8M0_VALUES[byte]!
}

/** Doubles, because 2^128 is no f32. */
const E8M0_VALUES = Float64Array.from({ length: 256 }, (_, byte) => 2 ** (byte - 127))

// amax = (1 + m / 128) · 2^(E - 127) for a normal pattern; subnormals lie below 2^-126 and always clamp to byte 0.
function exponentByte(amaxPattern: number, limitExponent: number, limitMantissa: number): number {
  const biased = amaxPattern >>> 7
  const isAbove = (amaxPattern & 0x7f) > limitMantissa ? 1 : 0
  return Math.max(biased - limitExponent + isAbove, 0)
}
