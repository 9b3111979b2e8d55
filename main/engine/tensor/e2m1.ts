/**
 * E2M1 (FP4): sign, 2 exponent bits, 1 mantissa bit. Codes 0..7 mean 0, 0.5, 1, 1.5, 2, 3, 4, 6; 8..15 the same negative.
 * Two roundings exist: the NVFP4 packing goes to even mantissas, the MXFP4 packing toward zero. Both saturate at 6.
 */

/** f32 values of the 16 codes. */
export const E2M1_VALUES: Float32Array = Float32Array.of(
  ...[0, 0.5, 1, 1.5, 2, 3, 4, 6],
  ...[-0, -0.5, -1, -1.5, -2, -3, -4, -6],
)

// Midpoints between neighbouring values. At the odd-numbered ones the upper neighbour has the even mantissa.
const MIDPOINTS = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5] as const

/** NVFP4 code (0..15) of an f32: nearest, ties to even mantissa. The sign bit is set for x < 0 only, so -0 is 0x0 but a tiny negative
 *  value 0x8. NaN gives 0x7, ±Infinity 0x7 / 0xF. */
export function e2m1TiesToEven(x: number): number {
  if (Number.isNaN(x)) return 7
  const magnitude = Math.abs(x)
  let code = 0
  MIDPOINTS.forEach((midpoint, i) => {
    if (magnitude > midpoint || (magnitude === midpoint && i % 2 === 1)) code = i + 1
  })
  return x < 0 ? code | 8 : code
}

/** MXFP4 code (0..15) of an f32: nearest, ties toward zero. The sign bit is set for x <= 0, so every zero is 0x8. NaN gives 0x0. */
export function e2m1TiesTowardZero(x: number): number {
  const magnitude = Math.abs(x)
  let code = 0
  MIDPOINTS.forEach((midpoint, i) => {
    if (magnitude > midpoint) code = i + 1
  })
  return x <= 0 ? code | 8 : code
}

/** Packs codes of neighbouring columns into bytes, even column in the low nibble. `codes` has an even length. */
export function packNibbles(codes: Uint8Array, target: Uint8Array): void {
  for (let i = 0; i < codes.length; i += 2) target[i >> 1] = codes[i]! | (codes[i + 1]! << 4)
}

/**
 * Writes code · step for the columns [begin, begin + count) of `target`, as far as it reaches; `packed` holds two codes a byte and `begin` is even.
 * The double product is exact and rounded to f32 once, by the store.
 */
export function decodeE2m1Run(
  packed: Uint8Array,
  target: Float32Array,
  begin: number,
  count: number,
  step: number,
): void {
  const end = Math.min(target.length, begin + count)
  for (let i = begin; i < end; i += 2) {
    const byte = packed[i >> 1]!
    target[i] = E2M1_VALUES[byte & 0xf]! * step
    if (i + 1 < end) target[i + 1] = E2M1_VALUES[byte >> 4]! * step
  }
}
