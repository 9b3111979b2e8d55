/**
 * Where the outputs of experts lie and how they add up again: for every token of a run up to topK terms, each a row in the outputs of earlier
 * runs and a routing weight. Terms of a token keep the order in which they were added, which is that of the experts.
 */
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import type { RoutedRows } from '../hidden-states.ts'

export class ExpertTerms {
  readonly parts: DeviceTensor[] = []
  private readonly tokenCount: number
  private readonly firstRow: number
  private readonly counts: Int32Array
  private readonly indices: Int32Array<ArrayBuffer>[] = []
  private readonly weights: Float32Array<ArrayBuffer>[] = []
  private rowCount = 0

  /** For the tokens `firstRow..firstRow+tokenCount-1`. */
  constructor(firstRow: number, tokenCount: number) {
    this.firstRow = firstRow
    this.tokenCount = tokenCount
    this.counts = new Int32Array(tokenCount)
  }

  get termCount(): number {
    return this.indices.length
  }

  /** Adds the output f32 [Σ rows, H] of a run on `slots`, in their order. */
  add(output: DeviceTensor, slots: readonly RoutedRows[]): void {
    this.parts.push(output)
    for (const { rows, weights, from, to } of slots) {
      for (let entry = from; entry < to; entry += 1) {
        const token = (rows[entry] ?? 0) - this.firstRow
        const term = this.counts[token] ?? 0
        const { index, weight } = this.termAt(term)
        index[token] = this.rowCount
        weight[token] = weights[entry] ?? 0
        this.counts[token] = term + 1
        this.rowCount += 1
      }
    }
  }

  /** Feeds of combineGraph but `x`. */
  feeds(): Record<string, GraphFeed> {
    const feeds: Record<string, GraphFeed> = {}
    for (const [part, tensor] of this.parts.entries()) feeds[`part.${String(part)}`] = tensor
    for (const [term, data] of this.indices.entries()) {
      feeds[`index.${String(term)}`] = { dtype: 'int32', shape: [this.tokenCount], data }
    }
    for (const [term, data] of this.weights.entries()) {
      feeds[`weight.${String(term)}`] = { dtype: 'float32', shape: [this.tokenCount, 1], data }
    }
    return feeds
  }

  /** Frees the outputs; the object is of no further use. */
  dispose(): void {
    for (const part of this.parts) part.dispose()
  }

  private termAt(term: number): { index: Int32Array; weight: Float32Array } {
    const index = (this.indices[term] ??= new Int32Array(this.tokenCount))
    const weight = (this.weights[term] ??= new Float32Array(this.tokenCount))
    return { index, weight }
  }
}

/** Slots of one run of experts each: a power of two of them, so that few graphs are needed, with at most `maxRows` rows. */
export function packRuns<T extends RoutedRows>(
  slots: readonly T[],
  maxSlots: number,
  maxRows: number,
): readonly (readonly T[])[] {
  const runs: (readonly T[])[] = []
  let first = 0
  while (first < slots.length) {
    let count = 1
    let rows = 0
    for (let size = 1; size <= maxSlots && first + size <= slots.length; size += 1) {
      const slot = slots[first + size - 1]
      rows += slot === undefined ? 0 : slot.to - slot.from
      if (rows > maxRows) break
      if ((size & (size - 1)) === 0) count = size
    }
    runs.push(slots.slice(first, first + count))
    first += count
  }
  return runs
}

/** The entries of `routed` whose rows lie in `firstRow..endRow-1`, in pieces of at most `maxRows`. */
export function rowsWithin(
  routed: RoutedRows,
  firstRow: number,
  endRow: number,
  maxRows: number,
): readonly RoutedRows[] {
  const begin = lowerBound(routed, firstRow)
  const end = lowerBound(routed, endRow)
  const pieces: RoutedRows[] = []
  for (let from = begin; from < end; from += maxRows) {
    pieces.push({ ...routed, from, to: Math.min(end, from + maxRows) })
  }
  return pieces
}

/** First entry whose row is not below `row`. */
function lowerBound({ rows, from, to }: RoutedRows, row: number): number {
  let low = from
  let high = to
  while (low < high) {
    const middle = (low + high) >> 1
    if ((rows[middle] ?? 0) < row) low = middle + 1
    else high = middle
  }
  return low
}
