/** Largest magnitudes of BF16 data. They are BF16 values themselves, hence exact in f32. */
import { BF16_MAX_FINITE_BITS, bf16ToF32 } from './bf16.ts'

export interface AmaxScan {
  /** Largest absolute value as f32; 0 for no elements. Over all elements: NaN or Infinity when `isFinite` is false. */
  readonly amax: number
  readonly isFinite: boolean
}

/** amax and finiteness of BF16[elementCount] patterns. A NaN anywhere gives NaN, because its pattern is the largest. */
export function scanBf16(patterns: Uint16Array): AmaxScan {
  const largest = amaxBits(patterns, 0, patterns.length)
  return { amax: bf16ToF32(largest), isFinite: largest <= BF16_MAX_FINITE_BITS }
}

/** Magnitude pattern (sign removed) of the largest of patterns[begin, end); 0 when empty. Patterns of one sign order like their values. */
export function amaxBits(patterns: Uint16Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) {
    const magnitude = patterns[i]! & 0x7fff
    if (magnitude > largest) largest = magnitude
  }
  return largest
}
