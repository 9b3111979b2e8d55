/** Next-token distributions of the original and the quantized model on the same windows: perplexity of both, divergence, first choices. */
import type { TextQuality } from '../../../shared/domain/quality-report.ts'
import { GraphCache, f32Output, type AmaxSink, type GraphVariant } from '../calibration/graph-cache.ts'
import type { TokenBatch } from '../calibration/hidden-states.ts'
import { throwIfCancelled } from '../calibration/forward-pass.ts'
import type { LayerControl } from '../calibration/layer-pass.ts'
import { prepareWeight } from '../calibration/prepare-weight.ts'
import { WeightDecoder } from '../calibration/weight-decoder.ts'
import type { WeightReader } from '../calibration/weight-reader.ts'
import { globalSlices, rowSlice } from '../calibration/weight-units.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { f32Tensor, type GraphRuntime, type GraphTensor } from '../onnx/graph-runtime.ts'
import { headPairGraph } from './head-pair-graph.ts'
import { HeadSums, type SidePart } from './head-sums.ts'

/** f32 part of a projection, and the logits of one run against it. */
const PART_BYTES = 64 * 1024 * 1024
const IGNORE: AmaxSink = () => undefined

/** One of the two models. */
export interface HeadSide {
  readonly model: MoeModel
  readonly reader: WeightReader
  /** How inputs of the projection are rounded; of the quantized model only. */
  readonly variant?: GraphVariant | undefined
  /** Hidden states after the last layer of rows firstRow.., f32, filled into `target`. */
  readonly copyRows: (firstRow: number, target: Float32Array) => void
}

export interface HeadComparison {
  readonly tokens: number
  readonly original: TextQuality
  readonly quantized: TextQuality
  readonly klMean: number
  readonly top1Agreement: number
}

/**
 * Over positions 1..T−1 of every window, each window alone; one result for each group and one for all of them. Throws CANCELLED and what
 * readers and runtime throw.
 */
export async function compareHeads(
  runtime: GraphRuntime,
  original: HeadSide,
  quantized: HeadSide,
  windows: readonly TokenBatch[],
  control: LayerControl = {},
): Promise<{ readonly groups: readonly HeadComparison[]; readonly all: HeadComparison }> {
  const config = original.model.text
  const ids = concatenated(windows)
  const sums = new HeadSums(ids.length)
  const graphs = new GraphCache({ config, runtime, shouldObserve: false, makeInterceptors: () => [] })
  const decoder = new WeightDecoder()
  try {
    const norms = { 'a.norm': await normOf(original), 'b.norm': await normOf(quantized) }
    const partRows = Math.max(1, Math.floor(PART_BYTES / (4 * config.hiddenSize)))
    for (let first = 0; first < config.vocabSize; first += partRows) {
      throwIfCancelled(control)
      const count = Math.min(partRows, config.vocabSize - first)
      const weights = {
        'a.weight': await headPart(original, first, count, decoder),
        'b.weight': await headPart(quantized, first, count, decoder),
      }
      await addPart({ graphs, original, quantized, ids, sums }, { ...norms, ...weights }, first, count)
      decoder.reset()
    }
  } finally {
    await graphs.release()
  }
  return summarise(windows, sums)
}

interface Pair {
  readonly graphs: GraphCache
  readonly original: HeadSide
  readonly quantized: HeadSide
  readonly ids: Int32Array
  readonly sums: HeadSums
}

async function addPart(
  { graphs, original, quantized, ids, sums }: Pair,
  weights: Readonly<Record<string, GraphTensor>>,
  firstToken: number,
  partRows: number,
): Promise<void> {
  const { hiddenSize } = original.model.text
  const rowsPerRun = Math.max(1, Math.floor(PART_BYTES / (4 * Math.max(partRows, hiddenSize))))
  for (let begin = 0; begin < ids.length; begin += rowsPerRun) {
    const rows = Math.min(rowsPerRun, ids.length - begin)
    const isHere = new Array<boolean>(rows).fill(false)
    const target = new Int32Array(rows)
    for (let row = 0; row < rows; row += 1) {
      const next = (ids[begin + row + 1] ?? 0) - firstToken
      isHere[row] = next >= 0 && next < partRows
      target[row] = isHere[row] === true ? next : 0
    }
    const states = (side: HeadSide): GraphTensor => {
      const values = new Float32Array(rows * hiddenSize)
      side.copyRows(begin, values)
      return f32Tensor([rows, hiddenSize], values)
    }
    const feeds = {
      ...weights,
      'a.x': states(original),
      'b.x': states(quantized),
      target: { dtype: 'int32', shape: [rows, 1], data: target } as const,
    }
    const results = await graphs.run('head pair', headPairGraph, feeds, IGNORE, quantized.variant)
    const [a, b] = [sideOutputs(results, 'a'), sideOutputs(results, 'b')]
    sums.add(begin, firstToken, isHere, { a, b, weighted: f32Output(results, 'weighted') })
  }
}

function sideOutputs(results: ReadonlyMap<string, GraphTensor>, side: string): SidePart {
  const place = results.get(`${side}.place`)
  if (place?.dtype !== 'int32') throw new Error(`the graph returned no places of ${side}`)
  const [maximum, sum, chosen] = ['maximum', 'sum', 'chosen'].map((name) =>
    f32Output(results, `${side}.${name}`),
  )
  const none = new Float32Array(0)
  return { maximum: maximum ?? none, sum: sum ?? none, chosen: chosen ?? none, place: place.data }
}

async function normOf({ model, reader }: HeadSide): Promise<GraphTensor> {
  const { norm } = globalSlices(model)
  const values = (await load(reader, norm, 'final norm', new WeightDecoder())).slice()
  prepareWeight('norm.weight', values)
  return f32Tensor(norm.shape, values)
}

async function headPart(
  { model, reader }: HeadSide,
  first: number,
  count: number,
  decoder: WeightDecoder,
): Promise<GraphTensor> {
  const slice = rowSlice(globalSlices(model).head, first, count)
  return f32Tensor(slice.shape, await load(reader, slice, 'lm_head', decoder))
}

async function load(
  reader: WeightReader,
  slice: TensorSlice,
  label: string,
  decoder: WeightDecoder,
): Promise<Float32Array<ArrayBuffer>> {
  const unit = { layerIndex: undefined, label, slices: [slice] }
  const [bytes = new Uint8Array(0)] = await reader.read(unit)
  const values = decoder.decode(slice, bytes)
  reader.release(unit)
  return values
}

function concatenated(windows: readonly TokenBatch[]): Int32Array {
  const ids = new Int32Array(windows.reduce((sum, { batch, time }) => sum + batch * time, 0))
  let position = 0
  for (const { ids: part } of windows) {
    ids.set(part, position)
    position += part.length
  }
  return ids
}

/** Row r is about token r + 1; the last row of a window predicts nothing. */
function summarise(
  windows: readonly TokenBatch[],
  sums: HeadSums,
): { readonly groups: readonly HeadComparison[]; readonly all: HeadComparison } {
  let row = 0
  const all = new Totals()
  const groups = windows.map(({ batch, time }) => {
    const totals = new Totals()
    for (const end = row + batch * time, first = row; row < end; row += 1) {
      if ((row - first + 1) % time === 0) continue
      totals.add(sums, row)
      all.add(sums, row)
    }
    return totals.result()
  })
  return { groups, all: all.result() }
}

class Totals {
  private tokens = 0
  private lossA = 0
  private lossB = 0
  private divergence = 0
  private agreements = 0

  add(sums: HeadSums, row: number): void {
    const { lossA, lossB, divergence, isSameChoice } = sums.row(row)
    this.tokens += 1
    this.lossA += lossA
    this.lossB += lossB
    this.divergence += divergence
    if (isSameChoice) this.agreements += 1
  }

  result(): HeadComparison {
    const { tokens } = this
    const text = (loss: number): TextQuality => ({
      nllMean: loss / tokens,
      perplexity: Math.exp(loss / tokens),
    })
    return {
      tokens,
      original: text(this.lossA),
      quantized: text(this.lossB),
      klMean: this.divergence / tokens,
      top1Agreement: this.agreements / tokens,
    }
  }
}
