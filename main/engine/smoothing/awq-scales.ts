/**
 * The vectors that AWQ-lite tries, from the magnitudes of inputs and weights. Source: ModelOpt's awq_lite, which is the search of AWQ
 * (Lin et al. 2023, section 3.2) with the weights' own scale added:
 *   x_j = mean |input| of channel j;  w_j = mean over rows of |W_ij| / (largest |W| of its block)
 *   s_j(a) = clamp( x_j^a / w_j^(1−a), 1e-4, 1e4 ),  divided by sqrt( max s · min s )
 * a = 0, step, 2·step, … 1. Unlike ModelOpt, channels without input or without weights get s = 1 and do not count for max and min, because
 * one dead channel would otherwise decide how all others are normalised; and s = 1 everywhere is tried as well, so that the search
 * never ends worse than it began.
 */

/** Bounds of a scale before it is normalised. */
export const MIN_SCALE = 1e-4
export const MAX_SCALE = 1e4

export interface AwqCandidate {
  /** NaN for s = 1. */
  readonly alpha: number
  /** f32 [channels], finite and above 0. */
  readonly scales: Float32Array<ArrayBuffer>
}

/** Exponents from 0 to 1; the last is 1 even where the step does not divide it. */
export function awqAlphas(step: number): readonly number[] {
  const count = Math.ceil(1 / step - 1e-9)
  return Array.from({ length: count + 1 }, (_, index) => Math.min(1, Number((index * step).toFixed(12))))
}

/** s = 1 first, then one for each exponent. `inputs`, `weights`: [channels], finite and from 0 up. */
export function awqCandidates(
  step: number,
  inputs: ArrayLike<number>,
  weights: ArrayLike<number>,
): readonly AwqCandidate[] {
  const untouched = { alpha: Number.NaN, scales: new Float32Array(inputs.length).fill(1) }
  return [
    untouched,
    ...awqAlphas(step).map((alpha) => ({ alpha, scales: awqScales(alpha, inputs, weights) })),
  ]
}

function awqScales(
  alpha: number,
  inputs: ArrayLike<number>,
  weights: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  let largest = 0
  let smallest = Infinity
  const raw = Array.from(inputs, (input, channel) => {
    const weight = weights[channel] ?? 0
    if (!(input > 0 && weight > 0)) return undefined
    const scale = Math.min(MAX_SCALE, Math.max(MIN_SCALE, input ** alpha / weight ** (1 - alpha)))
    largest = Math.max(largest, scale)
    smallest = Math.min(smallest, scale)
    return scale
  })
  const norm = Math.sqrt(largest * smallest)
  return Float32Array.from(raw, (scale) => (scale === undefined ? 1 : scale / norm))
}
