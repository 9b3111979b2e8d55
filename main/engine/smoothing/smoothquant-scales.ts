/**
 * The vector of SmoothQuant, from the largest magnitudes of inputs and weights. Source: Xiao et al. 2022, equation 4; ModelOpt's
 * smoothquant, whose pre_quant_scale is 1 / s:
 *   s_j = A_j^alpha / w_j^(1−alpha), clamped to 1e-4 … 1e4;  A_j = largest |input|, w_j = largest |W_ij| of channel j
 * A channel without input or without weights keeps its scale.
 */
import { MAX_SCALE, MIN_SCALE } from './awq-scales.ts'

/** f32 [channels], finite and above 0. `inputs`, `weights`: [channels], finite and from 0 up. */
export function smoothquantScales(
  alpha: number,
  inputs: ArrayLike<number>,
  weights: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(inputs, (input, channel) => {
    const weight = weights[channel] ?? 0
    if (!(input > 2 ** -31 && weight > 0)) return 1
    return Math.min(MAX_SCALE, Math.max(MIN_SCALE, input ** alpha / weight ** (1 - alpha)))
  })
}
