/** What the values of one tensor look like. Plain data, JSON safe. */

export interface TensorInspection {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly sizeBytes: number
  /** Largest magnitude, and the ends of the range, of finite values. */
  readonly amax: number
  readonly least: number
  readonly most: number
  readonly mean: number
  readonly standardDeviation: number
  readonly valueCount: number
  readonly zeros: number
  /** NaN and infinities. */
  readonly notFinite: number
  /** Values in bins of equal width from -amax to amax. */
  readonly histogram: readonly number[]
  /** Values by power of two: `counts[i]` values with 2 ** (firstExponent + i) <= |value| < twice that. */
  readonly magnitudes: { readonly firstExponent: number; readonly counts: readonly number[] }
  /** Largest magnitude for each index of the first dimension of a three-dimensional tensor: fused experts. Empty otherwise. */
  readonly amaxByExpert: readonly number[]
}
