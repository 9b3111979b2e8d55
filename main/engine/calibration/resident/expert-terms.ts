/**
 * Where the outputs of experts lie and how they add up again: for every token of a run up to topK terms, each a row in the outputs of earlier
 * runs and a routing weight. Terms of a token keep the order in which they were added, which is that of the experts.
 */
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import type { RoutedRows } from '../hidden-states.ts'
import type { TileRun } from './expert-tiles.ts'
import type { CombineShape } from './transfer-graphs.ts'

export class ExpertTerms {
  readonly parts: DeviceTensor[] = []
  private readonly tokenCount: number
  private readonly firstRow: number
  private readonly counts: Int32Array
  private readonly indices: Int32Array<ArrayBuffer>[] = []
  private readonly weights: Float32Array<ArrayBuffer>[] = []
  /** Rows of all outputs so far. */
  rowCount = 0

  /** For the tokens `firstRow..firstRow+tokenCount-1`. */
  constructor(firstRow: number, tokenCount: number) {
    this.firstRow = firstRow
    this.tokenCount = tokenCount
    this.counts = new Int32Array(tokenCount)
  }

  /** Shape of the graph that adds up, with at most `maxRows` rows gathered for a piece. An even number of terms, so that few graphs are needed. */
  shape(maxRows: number): CombineShape {
    const termCount = 2 * Math.ceil(this.indices.length / 2)
    const pieceCount = Math.ceil(this.tokenCount / Math.max(1, Math.floor(maxRows / termCount)))
    const tokenCount = this.tokenCount % pieceCount === 0 ? undefined : this.tokenCount
    return { partCount: this.parts.length, termCount, pieceCount, tokenCount }
  }

  /** Adds the output f32 [tiles · width, H] of a run. */
  add(output: DeviceTensor, { tiles, width }: TileRun): void {
    this.parts.push(output)
    for (const { rows, weights, from, to } of tiles) {
      for (let entry = from; entry < to; entry += 1) {
        const token = (rows[entry] ?? 0) - this.firstRow
        const term = this.counts[token] ?? 0
        const { index, weight } = this.termAt(term)
        index[token] = this.rowCount + entry - from
        weight[token] = weights[entry] ?? 0
        this.counts[token] = term + 1
      }
      this.rowCount += width
    }
  }

  /** Feeds of combineGraph but `x`. */
  feeds({ pieceCount, termCount }: CombineShape): Record<string, GraphFeed> {
    const feeds: Record<string, GraphFeed> = {}
    for (const [part, tensor] of this.parts.entries()) feeds[`part.${String(part)}`] = tensor
    const width = Math.ceil(this.tokenCount / pieceCount)
    const index = new Int32Array(pieceCount * termCount * width)
    const weight = new Float32Array(index.length)
    for (const [term, indices] of this.indices.entries()) {
      for (let piece = 0; piece < pieceCount; piece += 1) {
        const [from, to] = [piece * width, (piece + 1) * width]
        const place = (piece * termCount + term) * width
        index.set(indices.subarray(from, to), place)
        weight.set(this.weights[term]?.subarray(from, to) ?? [], place)
      }
    }
    feeds['index'] = { dtype: 'int32', shape: [pieceCount, termCount, width], data: index }
    feeds['weight'] = { dtype: 'float32', shape: [pieceCount, termCount, width, 1], data: weight }
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

/** The entries of `routed` whose rows lie in `firstRow..endRow-1`. */
export function rowsWithin(routed: RoutedRows, firstRow: number, endRow: number): RoutedRows {
  return { ...routed, from: lowerBound(routed, firstRow), to: lowerBound(routed, endRow) }
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
