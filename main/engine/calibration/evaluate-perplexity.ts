/** Perplexity of a checkpoint: the forward pass without observers, then the vocabulary projection in parts of bounded size. */
import { f32Tensor, type GraphTensor } from '../onnx/graph-runtime.ts'
import { createForwardPass } from './create-forward-pass.ts'
import { headGraph } from './forward/head.ts'
import { f32Output, GraphCache, type AmaxSink, type GraphVariant } from './graph-cache.ts'
import type { MicroBatch, TokenBatch } from './hidden-states.ts'
import type { ForwardOptions, LayerControl } from './layer-pass.ts'
import { WeightDecoder } from './weight-decoder.ts'
import { globalSlices, rowSlice } from './weight-units.ts'

export interface PerplexityResult {
  /** Predicted tokens: time − 1 per window. */
  readonly tokens: number
  /** Mean negative log-likelihood in nats. */
  readonly nllMean: number
  readonly perplexity: number
}

export type PerplexityOptions = Omit<ForwardOptions, 'batches' | 'shouldObserve'>

export interface EvaluationControl extends LayerControl {
  readonly onLayer?: (done: number, total: number) => void
  /** Called before a layer is run; undefined: before what lies outside of layers. Default: nothing to prepare. */
  readonly prepare?: (layerIndex: number | undefined) => Promise<void>
}

/** f32 part of the vocabulary projection, and the logits of one run against it. */
const PART_BYTES = 256 * 1024 * 1024

const IGNORE: AmaxSink = () => undefined

/**
 * Mean over positions 1..T−1 of every window, each window alone; one result per group of windows, computed in a single pass over the
 * weights. A window of one token predicts nothing. Throws what ForwardPass throws. NaN perplexity when nothing is predicted.
 */
export async function evaluatePerplexity(
  options: PerplexityOptions,
  windows: readonly TokenBatch[],
  control: EvaluationControl = {},
): Promise<readonly PerplexityResult[]> {
  const forward = await createForwardPass({ ...options, batches: windows, shouldObserve: false })
  try {
    const { layerCount } = options.model.text
    await control.prepare?.(undefined)
    await forward.embed()
    for (let layer = 0; layer < layerCount; layer += 1) {
      await control.prepare?.(layer)
      await forward.runLayer(layer, IGNORE, control)
      control.onLayer?.(layer + 1, layerCount)
    }
    await control.prepare?.(undefined)
    await forward.runFinalNorm(IGNORE, control)
    const losses = await tokenLosses(options, forward.batches)
    return summarise(windows, losses)
  } finally {
    await forward.release()
  }
}

/** Negative log-likelihood of every token given its predecessors, f64 [tokens]; 0 for the first token of a window. */
async function tokenLosses(
  { model, runtime, roundingRuntime, reader, variantOf, makeInterceptors = () => [] }: PerplexityOptions,
  batches: readonly MicroBatch[],
): Promise<Float64Array> {
  const { head } = globalSlices(model)
  const { hiddenSize, vocabSize } = model.text
  const partRows = Math.max(1, Math.floor(PART_BYTES / (4 * hiddenSize)))
  const accumulators = batches.map(({ batch, time }) => new LogSumExp(batch * time))
  const variant = variantOf?.(undefined)
  const on = variant === undefined ? runtime : (roundingRuntime ?? runtime)
  const graphs = new GraphCache({ config: model.text, runtime: on, shouldObserve: false, makeInterceptors })
  const decoder = new WeightDecoder()
  try {
    for (let first = 0; first < vocabSize; first += partRows) {
      const slice = rowSlice(head, first, Math.min(partRows, vocabSize - first))
      const unit = { layerIndex: undefined, label: 'lm_head', slices: [slice] }
      const [bytes = new Uint8Array(0)] = await reader.read(unit)
      const weight = f32Tensor(slice.shape, decoder.decode(slice, bytes))
      reader.release(unit)
      const part = { weight, first, hiddenSize, variant }
      for (const [index, batch] of batches.entries()) await addPart(graphs, batch, part, accumulators[index])
      decoder.reset()
    }
  } finally {
    await graphs.release()
  }
  const losses = new Float64Array(batches.reduce((sum, { batch, time }) => sum + batch * time, 0))
  for (const [index, { firstRow }] of batches.entries()) {
    const batchLosses = accumulators[index]?.losses() ?? new Float64Array(0)
    // Row r holds the loss of predicting token r + 1; the last row of a window predicts nothing.
    batchLosses.forEach((loss, row) => {
      if ((row + 1) % (batches[index]?.time ?? 1) !== 0) losses[firstRow + row + 1] = loss
    })
  }
  return losses
}

interface HeadPart {
  readonly weight: GraphTensor
  readonly first: number
  readonly hiddenSize: number
  readonly variant: GraphVariant | undefined
}

async function addPart(
  graphs: GraphCache,
  { batch, time, ids, normed }: MicroBatch,
  { weight, first, hiddenSize, variant }: HeadPart,
  accumulator: LogSumExp | undefined,
): Promise<void> {
  const [partRows = 1] = weight.shape
  const rowsPerRun = Math.max(1, Math.floor(PART_BYTES / (4 * partRows)))
  const rowCount = batch * time
  for (let begin = 0; begin < rowCount; begin += rowsPerRun) {
    const rows = Math.min(rowsPerRun, rowCount - begin)
    const isHere = new Array<boolean>(rows).fill(false)
    const target = new Int32Array(rows)
    for (let row = 0; row < rows; row += 1) {
      const next = (ids[begin + row + 1] ?? 0) - first
      isHere[row] = next >= 0 && next < partRows
      target[row] = isHere[row] === true ? next : 0
    }
    const feeds = {
      normed: f32Tensor([rows, hiddenSize], normed.subarray(begin * hiddenSize, (begin + rows) * hiddenSize)),
      weight,
      target: { dtype: 'int32', shape: [rows, 1], data: target } as const,
    }
    const results = await graphs.run('head', headGraph, feeds, IGNORE, variant)
    accumulator?.add(begin, isHere, {
      maximum: f32Output(results, 'maximum'),
      sum: f32Output(results, 'sum'),
      chosen: f32Output(results, 'chosen'),
    })
  }
}

/** log Σ exp over parts of the vocabulary, row by row, in f64. */
class LogSumExp {
  private readonly maximum: Float64Array
  private readonly sum: Float64Array
  private readonly chosen: Float64Array

  constructor(rows: number) {
    this.maximum = new Float64Array(rows).fill(-Infinity)
    this.sum = new Float64Array(rows)
    this.chosen = new Float64Array(rows)
  }

  add(
    firstRow: number,
    isHere: readonly boolean[],
    part: { readonly maximum: Float32Array; readonly sum: Float32Array; readonly chosen: Float32Array },
  ): void {
    for (const [index, here] of isHere.entries()) {
      const row = firstRow + index
      const partMaximum = part.maximum[index] ?? -Infinity
      const before = this.maximum[row] ?? -Infinity
      const maximum = Math.max(before, partMaximum)
      this.sum[row] =
        (this.sum[row] ?? 0) * Math.exp(before - maximum) +
        (part.sum[index] ?? 0) * Math.exp(partMaximum - maximum)
      this.maximum[row] = maximum
      if (here) this.chosen[row] = part.chosen[index] ?? 0
    }
  }

  losses(): Float64Array {
    return this.maximum.map(
      (maximum, row) => maximum + Math.log(this.sum[row] ?? 0) - (this.chosen[row] ?? 0),
    )
  }
}

function summarise(windows: readonly TokenBatch[], losses: Float64Array): readonly PerplexityResult[] {
  let row = 0
  return windows.map(({ batch, time }) => {
    let sum = 0
    for (const end = row + batch * time; row < end; row += 1) sum += losses[row] ?? 0
    const tokens = batch * (time - 1)
    return { tokens, nllMean: sum / tokens, perplexity: Math.exp(sum / tokens) }
  })
}
