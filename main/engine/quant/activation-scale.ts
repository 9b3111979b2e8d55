/**
 * Stored activation scales (`input_scale`, `k_scale`, `v_scale`) and every other "maximum divided by a constant" of the formats.
 * Source: PyTorch divides a tensor by a Python number by multiplying with its float32 reciprocal on CUDA, and by dividing on the CPU.
 */
import type { NumericProfile } from './formats.ts'

/**
 * amax / divisor as an f32 value: one f32 multiplication by f32(1 / divisor) in the cuda profile, a correctly rounded division in cpu.
 * `amax` must be an f32 value. Zero gives 0, NaN gives NaN, results below 2^-149 / 2 become 0. Divisors: FP8 and KV 448, NVFP4 2688, INT8 127.
 */
export function activationScale(amax: number, divisor: number, profile: NumericProfile): number {
  // The double product or quotient of two f32 values rounds to f32 exactly as a single f32 operation does.
  return profile === 'cuda' ? Math.fround(amax * Math.fround(1 / divisor)) : Math.fround(amax / divisor)
}
