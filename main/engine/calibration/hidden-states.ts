/** Calibration tokens cut into micro-batches that fit one run of a graph. Rows are numbered through all of them. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'

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

/** What of a micro-batch can be looked at. Where states are spilled, reading one fetches it: it is valid until another one is read. */
export interface MicroBatch extends TokenPart {
  /** f32 [batch · time, H], output of the last layer that ran. */
  readonly hidden: Float32Array<ArrayBuffer>
  /** Input of the experts of the last layer, same shape. */
  readonly normed: Float32Array<ArrayBuffer>
}

/** A part of the tokens of one expert: entries `from..to-1` of ascending row numbers with a weight each. */
export interface RoutedRows {
  readonly rows: Int32Array
  readonly weights: Float32Array
  readonly from: number
  readonly to: number
}

/** Activations of one run at most; one sequence is always a run. In Electron a native allocation above 1 GiB ends the process. */
const RUN_BYTES = 128 * 1024 * 1024
const MAX_TENSOR_BYTES = 960 * 1024 * 1024
const MAX_RUN_TOKENS = 4096

/** Tokens of one run at most, by the width of what it holds; not a whole number. */
export function maxRunTokens(config: QwenTextConfig): number {
  return Math.min(MAX_RUN_TOKENS, RUN_BYTES / (4 * widestRow(config)))
}

/**
 * Token batches of at most `maxTokens` tokens (but at least one sequence), in order. Throws CALIBRATION_DATA_INVALID for ids outside the
 * vocabulary, sequences that are empty or longer than the model's positions or one run can hold; CALIBRATION_DATA_EMPTY without any token.
 */
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
