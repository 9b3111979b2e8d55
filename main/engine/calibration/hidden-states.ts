/** Hidden states of all calibration tokens, cut into micro-batches that fit one run of a graph. Rows are numbered through all of them. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import { addScaledRows, gatherRows, type RowSpan } from '../tensor/row-math.ts'

/** Token ids of whole sequences of one length, row-major [batch, time]. No padding. */
export interface TokenBatch {
  readonly batch: number
  readonly time: number
  readonly ids: Int32Array
}

export interface TokenPart extends TokenBatch {
  /** Number of the first token among all. */
  readonly firstRow: number
}

export interface MicroBatch extends TokenPart {
  /** f32 [batch · time, H]; replaced in place layer by layer. */
  readonly hidden: Float32Array<ArrayBuffer>
  /** Input of the experts of the current layer, same shape. */
  readonly normed: Float32Array<ArrayBuffer>
}

/** Activations of one run at most; one sequence is always a run. In Electron a native allocation above 1 GiB ends the process. */
const RUN_BYTES = 128 * 1024 * 1024
const MAX_TENSOR_BYTES = 960 * 1024 * 1024
const MAX_RUN_TOKENS = 4096

/**
 * Splits batches along sequences and allocates their states. Throws CALIBRATION_DATA_INVALID for ids outside the vocabulary, sequences
 * that are empty or longer than the model's positions or one run can hold; CALIBRATION_DATA_EMPTY without any token.
 */
export function makeMicroBatches(
  batches: readonly TokenBatch[],
  config: QwenTextConfig,
): readonly MicroBatch[] {
  return cutBatches(batches, config, maxRunTokens(config)).map((part) => {
    const size = part.batch * part.time * config.hiddenSize
    return { ...part, hidden: new Float32Array(size), normed: new Float32Array(size) }
  })
}

/** Tokens of one run at most, by the width of what it holds; not a whole number. */
export function maxRunTokens(config: QwenTextConfig): number {
  return Math.min(MAX_RUN_TOKENS, RUN_BYTES / (4 * widestRow(config)))
}

/** Token batches of at most `maxTokens` tokens (but at least one sequence), in order. Checks and throws as makeMicroBatches. */
export function cutBatches(
  batches: readonly TokenBatch[],
  config: QwenTextConfig,
  maxTokens: number,
): readonly TokenPart[] {
  const rowBytes = 4 * widestRow(config)
  const micro: TokenPart[] = []
  let firstRow = 0
  for (const { batch, time, ids } of batches) {
    checkBatch({ batch, time, ids }, config, rowBytes)
    const perRun = Math.max(1, Math.floor(maxTokens / time))
    for (let first = 0; first < batch; first += perRun) {
      const count = Math.min(perRun, batch - first)
      const rows = count * time
      const part = ids.subarray(first * time, first * time + rows)
      micro.push({ batch: count, time, ids: part, firstRow })
      firstRow += rows
    }
  }
  if (firstRow === 0) {
    throw new AppError('CALIBRATION_DATA_EMPTY', {
      subject: 'calibration data',
      problem: 'there is no token in it',
      remedy: 'give a file with text',
    })
  }
  return micro
}

/** Width of the widest activation of any graph, in elements. */
export function widestRow(config: QwenTextConfig): number {
  const keyWidth = config.linearKeyHeadCount * config.linearKeyHeadDim
  const valueWidth = config.linearValueHeadCount * config.linearValueHeadDim
  return Math.max(
    config.hiddenSize,
    2 * keyWidth + valueWidth,
    2 * config.headCount * config.headDim,
    config.expertCount,
    config.sharedExpertWidth,
  )
}

function checkBatch({ batch, time, ids }: TokenBatch, config: QwenTextConfig, rowBytes: number): void {
  const invalid = (problem: string, remedy: string): AppError =>
    new AppError('CALIBRATION_DATA_INVALID', { subject: 'calibration data', problem, remedy })
  if (time < 1 || ids.length !== batch * time) {
    throw invalid(
      `${String(ids.length)} tokens are not ${String(batch)} sequences of ${String(time)}`,
      'give a matrix',
    )
  }
  const longest = Math.min(config.maxPositions, Math.floor(MAX_TENSOR_BYTES / rowBytes))
  if (time > longest) {
    throw invalid(
      `a sequence has ${String(time)} tokens, more than ${String(longest)}`,
      `use --seq-len ${String(longest)} or less`,
    )
  }
  const bad = ids.findIndex((id) => id < 0 || id >= config.vocabSize)
  if (bad >= 0) {
    throw invalid(
      `token ${String(bad)} is ${String(ids[bad])}, the vocabulary has ${String(config.vocabSize)}`,
      'give token ids of this model',
    )
  }
}

/** A part of the tokens of one expert: entries `from..to-1` of ascending row numbers with a weight each. */
export interface RoutedRows {
  readonly rows: Int32Array
  readonly weights: Float32Array
  readonly from: number
  readonly to: number
}

/** Copies the `normed` rows into f32 [to − from, width]. */
export function gatherRouted(
  batches: readonly MicroBatch[],
  width: number,
  routed: RoutedRows,
  target: Float32Array,
): void {
  forEachSpan(batches, routed, ({ normed }, span) => {
    gatherRows(normed, width, span, target, span.from - routed.from)
  })
}

/** hidden[row] += weight · values[i] for every entry. */
export function scatterRouted(
  batches: readonly MicroBatch[],
  width: number,
  routed: RoutedRows,
  values: Float32Array,
): void {
  forEachSpan(batches, routed, ({ hidden }, span) => {
    addScaledRows(hidden, width, span, routed.weights, values, span.from - routed.from)
  })
}

function forEachSpan(
  batches: readonly MicroBatch[],
  { rows, from, to }: RoutedRows,
  visit: (batch: MicroBatch, span: RowSpan) => void,
): void {
  let position = from
  for (const batch of batches) {
    const endRow = batch.firstRow + batch.batch * batch.time
    const begin = position
    while (position < to && (rows[position] ?? endRow) < endRow) position += 1
    if (position > begin) visit(batch, { rows, from: begin, to: position, baseRow: batch.firstRow })
    if (position === to) return
  }
}
