/**
 * Quality in the same sweep: the export as far as it is written runs beside the calibration, one layer behind, on its first tokens. What it
 * reads is the export itself, so that the source is read once and the numbers are those that `eval` gives for the finished file. Scales of
 * inputs and cache, which are written last, are handed in.
 */
import type { ExpertInputArithmetic, LayerQuality } from '../../../shared/domain/quality-report.ts'
import type { Calibrator } from '../calibration/calibrator.ts'
import type { MicroBatch } from '../calibration/hidden-states.ts'
import type { ExpertWatch, LayerControl, StateRows } from '../calibration/layer-pass.ts'
import type { WeightReader } from '../calibration/weight-reader.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { roundToBf16 } from '../tensor/bf16.ts'
import { compareHeads, type HeadComparison } from './compare-heads.ts'
import type { EvaluatedModel } from './evaluated-model.ts'
import type { MeasureOptions } from './evaluated-pass.ts'
import { openEvaluated } from './open-evaluated.ts'
import { QualityStream } from './quality-stream.ts'

/** As engines multiply, by tensor name. */
export type KnownScales = ReadonlyMap<string, number>

type Original = Pick<Calibrator, 'exportStates'>

export interface SweepQualityOptions extends MeasureOptions {
  /** The export with its configuration; weights of a layer must be written before it is measured. */
  readonly folder: CheckpointFolder
  readonly expertInputs: ExpertInputArithmetic
  /** Reads the weights of an export in which nothing is quantized, from its weight files. */
  readonly readerOf: (fileNames: readonly string[]) => WeightReader
  /** What the user should know: another device. */
  readonly onNotice: (message: string) => void
}

export class SweepQuality {
  private readonly options: SweepQualityOptions
  private readonly quantized: EvaluatedModel
  private readonly stream: QualityStream
  private readonly hasBf16Embedding: boolean
  private isDeviceTold = false
  private readonly setKnown: (known: KnownScales) => void
  /** States of the original on the measured tokens, f32 [tokens, H]. */
  private original: Float32Array<ArrayBuffer>

  private constructor(
    options: SweepQualityOptions,
    opened: { readonly quantized: EvaluatedModel; readonly hasBf16Embedding: boolean },
    setKnown: (known: KnownScales) => void,
  ) {
    this.options = options
    this.quantized = opened.quantized
    this.hasBf16Embedding = opened.hasBf16Embedding
    this.setKnown = setKnown
    this.stream = new QualityStream({ ...options, quantized: this.quantized })
    this.original = new Float32Array(this.stream.tokenCount * this.width)
  }

  /** Reads headers and configuration. Throws what openEvaluated and cutting batches throw. */
  static async open(options: SweepQualityOptions): Promise<SweepQuality> {
    let known: KnownScales = new Map()
    const { folder, expertInputs, readerOf } = options
    const { evaluated, checkpoint } = await openEvaluated(folder, expertInputs, readerOf, () => known)
    const embedding = checkpoint.tensors.get(`${evaluated.model.prefix}.embed_tokens.weight`)
    const opened = { quantized: evaluated, hasBf16Embedding: embedding?.dtype === 'BF16' }
    return new SweepQuality(options, opened, (scales) => {
      known = scales
    })
  }

  get tokenCount(): number {
    return this.stream.tokenCount
  }

  /** For every layer of the original. */
  get watch(): ExpertWatch {
    return this.stream.watch
  }

  /** Starts from the embeddings of the original, as the export stores them. */
  async start(original: Original): Promise<void> {
    const batches = await this.copyOriginal(original)
    if (this.hasBf16Embedding) {
      this.original.forEach((value, index) => (this.original[index] = roundToBf16(value)))
    }
    this.stream.startFrom(batches)
  }

  exportStates(take: StateRows): Promise<void> {
    return this.stream.exportStates(take)
  }

  /** Instead of `start`. */
  importStates(fill: StateRows): Promise<void> {
    return this.stream.importStates(fill)
  }

  /** Runs the layer that the original has just run. Throws what QualityStream throws. */
  async measureLayer(
    layerIndex: number,
    known: KnownScales,
    original: Original,
    control: LayerControl = {},
  ): Promise<LayerQuality> {
    this.setKnown(known)
    const layer = await this.stream.runLayer(layerIndex, await this.copyOriginal(original), control)
    this.tellDevice(layerIndex)
    return layer
  }

  /** Before the original's states go: keeps them for `measureText`. */
  async keepOriginal(original: Original): Promise<void> {
    await this.copyOriginal(original)
  }

  /** After the last layer, when everything outside the layers is written. `reader` reads `model`, the original. Throws what compareHeads throws. */
  async measureText(
    model: MoeModel,
    reader: WeightReader,
    known: KnownScales,
    control: LayerControl = {},
  ): Promise<HeadComparison> {
    this.setKnown(known)
    await this.quantized.prepare(undefined)
    const { runtime, roundingRuntime = runtime, windows } = this.options
    const second = this.stream.headSide()
    const side = {
      model,
      reader,
      copyRows: (firstRow: number, target: Float32Array) => {
        const from = firstRow * this.width
        target.set(this.original.subarray(from, from + target.length))
      },
    }
    const on = second.variant === undefined ? runtime : roundingRuntime
    const { all } = await compareHeads(on, side, second, windows, control)
    return all
  }

  /** Frees the graphs. Idempotent. */
  release(): Promise<void> {
    return this.stream.release()
  }

  private tellDevice(layerIndex: number): void {
    const { runtime, roundingRuntime = runtime, onNotice } = this.options
    const { device } = roundingRuntime
    if (this.isDeviceTold || device === runtime.device || this.quantized.variantOf(layerIndex) === undefined)
      return
    this.isDeviceTold = true
    onNotice(
      `quality of layers whose inputs or cache are rounded is measured on the ${device.toUpperCase()}: ${runtime.device} lacks the operators`,
    )
  }

  private get width(): number {
    return this.quantized.model.text.hiddenSize
  }

  private async copyOriginal(original: Original): Promise<readonly MicroBatch[]> {
    const { width, tokenCount } = this
    await original.exportStates((firstRow, hidden) => {
      const room = this.original.length - firstRow * width
      if (room > 0) this.original.set(hidden.subarray(0, room), firstRow * width)
    }, tokenCount)
    const none = { ids: new Int32Array(0), normed: new Float32Array(0) }
    return [{ firstRow: 0, batch: tokenCount, time: 1, hidden: this.original, ...none }]
  }
}
