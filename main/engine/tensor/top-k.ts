/** Routing decision of one token row after another: the k largest probabilities, ties to the lower index, weights renormalised. */

/**
 * probability f32 [rows, experts] -> chosen i32 [rows, k] in descending order and weights f32 [rows, k] that sum to 1 per row.
 * Probabilities must be finite; k ≤ experts. Source: Qwen3_5MoeTopKRouter, transformers 5.18.
 */
export function routeTokens(
  probability: Float32Array,
  experts: number,
  k: number,
  chosen: Int32Array,
  weights: Float32Array,
): void {
  const rows = probability.length / experts
  for (let row = 0; row < rows; row++) {
    const start = row * experts
    const out = row * k
    let count = 0
    /** The last of k chosen; nothing is below −1. */
    let least = -1
    for (let expert = 0; expert < experts; expert++) {
      const value = probability[start + expert]!
      // Strictly greater: an equal value that came earlier has the lower index and stays in front.
      if (!(value > least)) continue
      let place = count < k ? count : k - 1
      while (place > 0 && value > weights[out + place - 1]!) {
        weights[out + place] = weights[out + place - 1]!
        chosen[out + place] = chosen[out + place - 1]!
        place--
      }
      weights[out + place] = value
      chosen[out + place] = expert
      if (count < k) count++
      if (count === k) least = weights[out + k - 1]!
    }
    let sum = 0
    for (let i = 0; i < k; i++) sum += weights[out + i]!
    for (let i = 0; i < k; i++) weights[out + i] = weights[out + i]! / sum
  }
}
