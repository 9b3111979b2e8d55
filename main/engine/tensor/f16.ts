/** F16 (IEEE binary16) tensors, always through f32, which holds every half value exactly. */
import { f32ToBf16 } from './bf16.ts'
import { f32Bits } from './float-bits.ts'

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

/** Binary16 pattern (u16) nearest to an f32, ties to even; from 65520 up infinity, every NaN 0x7E00. */
export function f32ToF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = f32Bits(value) >>> 31 === 1 ? 0x8000 : 0
  const magnitude = Math.abs(value)
  if (magnitude >= 65520) return sign | 0x7c00
  // Below 2^-14 halves are multiples of 2^-24; above, an exponent with 10 bits behind it. A carry out of these bits is the next exponent.
  if (magnitude < 2 ** -14) return sign | roundToEven(magnitude * 2 ** 24)
  const exponent = ((f32Bits(magnitude) >>> 23) & 0xff) - 127
  return sign | (((exponent + 14) << 10) + roundToEven(magnitude / 2 ** (exponent - 10)))
}

function roundToEven(value: number): number {
  const below = Math.floor(value)
  const rest = value - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}
