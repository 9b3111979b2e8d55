/** F16 (IEEE binary16) sources: read only, always through f32, which holds every half value exactly. */
import { f32ToBf16 } from './bf16.ts'

/** f32 value of a binary16 pattern (u16). Exact; subnormals, infinities and NaN included. */
export function f16ToF32(pattern: number): number {
  const sign = pattern & 0x8000 ? -1 : 1
  const exponent = (pattern >>> 10) & 0x1f
  const mantissa = pattern & 0x3ff
  if (exponent === 0) return sign * mantissa * 2 ** -24
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : Number.NaN
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15)
}

/** BF16 patterns nearest to binary16 values, ties to even (8 significand bits of 11 are kept). */
export function bf16FromF16Array(patterns: Uint16Array): Uint16Array<ArrayBuffer> {
  const converted = new Uint16Array(patterns.length)
  for (let i = 0; i < patterns.length; i++) converted[i] = f32ToBf16(f16ToF32(patterns[i]!))
  return converted
}
