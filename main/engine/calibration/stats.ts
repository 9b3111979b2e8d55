/**
 * Format-neutral calibration statistics. Keys are ModelOpt's quantizer names, so that a dump of either tool can stand in for the other:
 *   `<linear>.input_quantizer`                       [1]  amax of the linear's input
 *   `<….mlp.experts>.gate_up_proj_input_quantizer`   [1] shared or [E] per expert
 *   `<….mlp.experts>.down_proj_input_quantizer`      [1] shared or [E] per expert
 *   `<….self_attn>.k_bmm_quantizer`, `.v_bmm_quantizer`  [1]
 * A value of 0 means that no data reached the site (or that all of it was zero).
 */
import { invariant } from '../../../shared/errors/app-error.ts'

/** Input channels of a linear, or of every expert's: f32 [width] or [E · width], expert after expert. 0 where no data came. */
export interface ChannelStats {
  readonly width: number
  readonly amax: Float32Array
  /** Mean of |x| over the rows that reached the linear or expert. */
  readonly meanAbs: Float32Array
}

export interface CalibrationStats {
  /** Quantizer name -> amax values, length 1 or the number of experts. */
  readonly amax: ReadonlyMap<string, Float32Array>
  /** `<….mlp.experts>` -> tokens routed to each expert, length E. Empty when the dump has none. */
  readonly expertTokens: ReadonlyMap<string, Float64Array>
  /** `<….mlp.experts>` -> routing weights summed over the tokens of each expert, length E. Empty when the dump has none. */
  readonly routingWeights: ReadonlyMap<string, Float64Array>
  /** Quantizer name -> its input channels; empty unless full statistics were asked for. */
  readonly channels: ReadonlyMap<string, ChannelStats>
  /**
   * `<quantizer>.percentile_<p>` -> percentile of the row maxima, as long as the quantizer's amax; empty unless a recipe asked for one.
   */
  readonly percentiles: ReadonlyMap<string, Float32Array>
  /** Tokens that went through the model; 0 when unknown. */
  readonly tokenCount: number
}

/**
 * Combines two partial results of the same model: element-wise maximum of amaxes, sum of counts and weights. Associative and commutative.
 * A NaN amax stays NaN. Throws INVARIANT for channels or percentiles of a quantizer on both sides: one pass sees all of its rows, and they cannot be put together.
 */
export function mergeStats(left: CalibrationStats, right: CalibrationStats): CalibrationStats {
  return {
    amax: mergeBy(left.amax, right.amax, (a, b) => a.map((value, i) => propagatingMax(value, b[i] ?? 0))),
    expertTokens: mergeBy(left.expertTokens, right.expertTokens, addValues),
    routingWeights: mergeBy(left.routingWeights, right.routingWeights, addValues),
    percentiles: mergeBy(left.percentiles, right.percentiles, () => {
      invariant(false, 'two passes have percentiles of the same quantizer')
    }),
    channels: mergeBy(left.channels, right.channels, () => {
      invariant(false, 'two passes have channels of the same quantizer')
    }),
    tokenCount: left.tokenCount + right.tokenCount,
  }
}

export const EMPTY_STATS: CalibrationStats = {
  amax: new Map(),
  expertTokens: new Map(),
  routingWeights: new Map(),
  channels: new Map(),
  percentiles: new Map(),
  tokenCount: 0,
}

function addValues(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + (b[i] ?? 0))
}

function propagatingMax(a: number, b: number): number {
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b)
}

function mergeBy<T>(
  left: ReadonlyMap<string, T>,
  right: ReadonlyMap<string, T>,
  combine: (a: T, b: T) => T,
): Map<string, T> {
  const merged = new Map(left)
  for (const [key, value] of right) {
    const present = merged.get(key)
    merged.set(key, present === undefined ? value : combine(present, value))
  }
  return merged
}
