/** BF16: the upper half of an f32. Values travel as u16 bit patterns, little-endian in files. Source: IEEE 754 binary32 layout. */
import { f32Bits, f32FromBits } from './float-bits.ts'

/** Largest finite magnitude pattern; 0x7F80 is infinity, above it NaN. */
export const BF16_MAX_FINITE_BITS = 0x7f7f

/** f32 value of a BF16 pattern (u16). Exact; NaN and infinities included. */
export function bf16ToF32(pattern: number): number {
  return f32FromBits((pattern << 16) >>> 0)
}

/** BF16 pattern (u16) nearest to an f32, ties to even; overflow becomes infinity, every NaN 0x7FC0. Source: PyTorch's bfloat16 cast. */
export function f32ToBf16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  const pattern = f32Bits(value)
  // Adding just below half of the dropped part, plus the kept last bit, carries exactly when nearest-even rounds up.
  return (pattern + 0x7fff + ((pattern >>> 16) & 1)) >>> 16
}

/** The f32 rounded to the nearest BF16 value. NaN stays NaN. */
export function roundToBf16(value: number): number {
  return bf16ToF32(f32ToBf16(value))
}

/** BF16 patterns of f32 values, element by element (ties to even). Sources that are not BF16 are converted so before anything else. */
export function bf16FromF32Array(values: Float32Array): Uint16Array<ArrayBuffer> {
  const patterns = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) patterns[i] = f32ToBf16(values[i]!)
  return patterns
}

/** f32 values of BF16 patterns, element by element. Exact. */
export function bf16ToF32Array(patterns: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(patterns.length)
  for (let i = 0; i < patterns.length; i++) values[i] = bf16ToF32(patterns[i]!)
  return values
}
