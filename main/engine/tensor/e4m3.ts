/**
 * E4M3FN: sign, 4 exponent bits (bias 7), 3 mantissa bits, no infinity, one NaN pattern per sign (0x7F, 0xFF), largest value 448.
 * Rules R5 and R9 of the export: PyTorch's CUDA cast writes NaN above 464, its CPU cast (from 2.13) saturates to ±448.
 */
import { f32Bits } from './float-bits.ts'

/** 448 = 1.75 · 2^8, the largest finite value. */
export const E4M3_MAX = 448
/** 2^-9, the smallest positive value. */
export const E4M3_MIN = 2 ** -9

const MAX_CODE = 0x7e
const NAN_CODE = 0x7f

/**
 * E4M3 byte of an f32 bit pattern: nearest, ties to even, subnormals included; the sign of zero is kept.
 * |x| > 464 (half way to the missing 480) and infinities give NaN, or ±448 when `isSaturating`; NaN gives NaN with its sign.
 */
export function e4m3FromBits(pattern: number, isSaturating: boolean): number {
  const sign = (pattern >>> 24) & 0x80
  const magnitude = pattern & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | NAN_CODE
  const code = magnitude < 0x3c800000 ? subnormalCode(magnitude) : normalCode(magnitude)
  if (code <= MAX_CODE) return sign | code
  return sign | (isSaturating ? MAX_CODE : NAN_CODE)
}

/** E4M3 byte of an f32 value under a profile: cuda does not saturate and writes NaN as 0x7F, cpu saturates and writes NaN as 0xFF. */
export function encodeE4m3(value: number, profile: 'cuda' | 'cpu'): number {
  if (Number.isNaN(value)) return profile === 'cuda' ? 0x7f : 0xff
  return e4m3FromBits(f32Bits(value), profile === 'cpu')
}

/** f32 values of all 256 bytes. */
export const E4M3_VALUES: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => decodeByte(byte))

/** f32 value of an E4M3 byte; NaN for 0x7F and 0xFF. */
export function decodeE4m3(byte: number): number {
  return E4M3_VALUES[byte]!
}

/** Writes code · scale for the elements [begin, begin + count) of `target`, as far as it reaches. The store rounds the exact product to f32. */
export function decodeE4m3Run(
  codes: Uint8Array,
  target: Float32Array,
  begin: number,
  count: number,
  scale: number,
): void {
  const end = Math.min(target.length, begin + count)
  for (let i = begin; i < end; i++) target[i] = E4M3_VALUES[codes[i]!]! * scale
}

// Below 2^-6 the grid is 2^-9. |x| / 2^-9 < 8 is exact in a double, and so are its ties.
function subnormalCode(magnitude: number): number {
  const exponent = Math.max(magnitude >>> 23, 1)
  const significand = (magnitude >>> 23 === 0 ? 0 : 0x800000) | (magnitude & 0x7fffff)
  const scaled = significand * 2 ** (exponent - 150 + 9)
  const floor = Math.floor(scaled)
  const rest = scaled - floor
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor
}

// 20 mantissa bits are dropped with nearest-even; the exponent bias goes from 127 to 7, that is 120 steps of 8 codes.
function normalCode(magnitude: number): number {
  return ((magnitude + 0x7ffff + ((magnitude >>> 20) & 1)) >>> 20) - 120 * 8
}

function decodeByte(byte: number): number {
  const code = byte & 0x7f
  const exponent = code >> 3
  const mantissa = code & 7
  const magnitude =
    code === NAN_CODE
      ? Number.NaN
      : exponent === 0
        ? mantissa * 2 ** -9
        : (1 + mantissa / 8) * 2 ** (exponent - 7)
  return byte & 0x80 ? -magnitude : magnitude
}
