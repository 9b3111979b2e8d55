/**
 * Format-neutral calibration statistics. Keys are ModelOpt's quantizer names, so that a dump of either tool can stand in for the other:
 *   `<linear>.input_quantizer`                       [1]  amax of the linear's input
 *   `<….mlp.experts>.gate_up_proj_input_quantizer`   [1] shared or [E] per expert
 *   `<….mlp.experts>.down_proj_input_quantizer`      [1] shared or [E] per expert
 *   `<….self_attn>.k_bmm_quantizer`, `.v_bmm_quantizer`  [1]
 * A value of 0 means that no data reached the site (or that all of it was zero).
 */

export interface CalibrationStats {
  /** Quantizer name -> amax values, length 1 or the number of experts. */
  readonly amax: ReadonlyMap<string, Float32Array>
  /** `<….mlp.experts>` -> tokens routed to each expert, length E. Empty when the dump has none. */
  readonly expertTokens: ReadonlyMap<string, Float64Array>
  /** Tokens that went through the model; 0 when unknown. */
  readonly tokenCount: number
}

/** Combines two partial results of the same model: element-wise maximum of amaxes, sum of counts. Associative and commutative.
 * A NaN amax stays NaN. Throws INVARIANT when the same site has different lengths. */
export function mergeStats(left: CalibrationStats, right: CalibrationStats): CalibrationStats {
  return {
    amax: mergeBy(left.amax, right.amax, (a, b) => a.map((value, i) => propagatingMax(value, b[i] ?? 0))),
    expertTokens: mergeBy(left.expertTokens, right.expertTokens, (a, b) =>
      a.map((value, i) => value + (b[i] ?? 0)),
    ),
    tokenCount: left.tokenCount + right.tokenCount,
  }
}

export const EMPTY_STATS: CalibrationStats = { amax: new Map(), expertTokens: new Map(), tokenCount: 0 }

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
