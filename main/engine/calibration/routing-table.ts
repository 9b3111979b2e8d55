/** Which tokens go to which expert: built from router probabilities batch by batch, then read expert by expert in token order. */
import { invariant } from '../../../shared/errors/app-error.ts'
import { routeTokens } from '../tensor/top-k.ts'
import type { RoutedRows } from './hidden-states.ts'

export class RoutingTable {
  readonly expertCount: number
  private readonly topK: number
  /** i32 and f32 [tokens, topK] */
  private readonly chosen: Int32Array
  private readonly weights: Float32Array
  private sorted: { rows: Int32Array; weights: Float32Array; starts: Int32Array } | undefined

  constructor(tokenCount: number, expertCount: number, topK: number) {
    this.expertCount = expertCount
    this.topK = topK
    this.chosen = new Int32Array(tokenCount * topK)
    this.weights = new Float32Array(tokenCount * topK)
  }

  /** Adds probabilities f32 [rows, experts] of the tokens from `firstRow` on. */
  add(firstRow: number, probability: Float32Array): void {
    const begin = firstRow * this.topK
    const end = begin + (probability.length / this.expertCount) * this.topK
    const { chosen, weights } = this
    const part = [chosen.subarray(begin, end), weights.subarray(begin, end)] as const
    routeTokens(probability, this.expertCount, this.topK, ...part)
    this.sorted = undefined
  }

  /** Tokens routed to each expert, f64 [experts]. */
  counts(): Float64Array {
    const counts = new Float64Array(this.expertCount)
    for (const expert of this.chosen) counts[expert] = (counts[expert] ?? 0) + 1
    return counts
  }

  /** Routing weights summed over the tokens of each expert, f64 [experts], in token order. */
  weightSums(): Float64Array {
    const sums = new Float64Array(this.expertCount)
    for (const [entry, expert] of this.chosen.entries()) {
      sums[expert] = (sums[expert] ?? 0) + (this.weights[entry] ?? 0)
    }
    return sums
  }

  /** Experts of a token in descending probability, with renormalised weights. */
  choiceOf(row: number): { readonly experts: Int32Array; readonly weights: Float32Array } {
    const begin = row * this.topK
    const end = begin + this.topK
    return { experts: this.chosen.subarray(begin, end), weights: this.weights.subarray(begin, end) }
  }

  /** All tokens of an expert, ascending. */
  rowsOf(expert: number): RoutedRows {
    const { rows, weights, starts } = (this.sorted ??= this.sort())
    const from = starts[expert]
    const to = starts[expert + 1]
    invariant(from !== undefined && to !== undefined, `there is no expert ${String(expert)}`)
    return { rows, weights, from, to }
  }

  /** Counting sort by expert, stable in token order. */
  private sort(): { rows: Int32Array; weights: Float32Array; starts: Int32Array } {
    const starts = new Int32Array(this.expertCount + 1)
    this.counts().forEach((count, expert) => {
      starts[expert + 1] = (starts[expert] ?? 0) + count
    })
    const next = starts.slice()
    const rows = new Int32Array(this.chosen.length)
    const weights = new Float32Array(this.chosen.length)
    this.chosen.forEach((expert, entry) => {
      const place = next[expert] ?? 0
      rows[place] = Math.floor(entry / this.topK)
      weights[place] = this.weights[entry] ?? 0
      next[expert] = place + 1
    })
    return { rows, weights, starts }
  }
}
