/**
 * The second stream of a measurement: the quantized model on the same windows, one layer behind the other, compared with the original after
 * every layer. Whoever owns it runs the original, layer by layer, and shows it what came out.
 */
import type { ErrorMeasure, LayerQuality } from '../../../shared/domain/quality-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ForwardPass } from '../calibration/forward-pass.ts'
import type { AmaxSink } from '../calibration/graph-cache.ts'
import type { MicroBatch } from '../calibration/hidden-states.ts'
import type { ExpertWatch, LayerControl, LayerPass, StateRows } from '../calibration/layer-pass.ts'
import type { HeadSide } from './compare-heads.ts'
import { ErrorSums } from './error-sums.ts'
import type { EvaluatedModel } from './evaluated-model.ts'
import { evaluatedPass, type MeasureOptions } from './evaluated-pass.ts'
import { ExpertSamples } from './expert-samples.ts'
import { copyStates } from './state-rows.ts'

const IGNORE: AmaxSink = () => undefined

export interface QualityStreamOptions extends MeasureOptions {
  readonly quantized: EvaluatedModel
}

export class QualityStream implements Pick<LayerPass, 'exportStates' | 'importStates'> {
  private readonly quantized: EvaluatedModel
  private readonly forward: ForwardPass
  private samples: ExpertSamples

  /** Throws what cutting batches throws. */
  constructor({ quantized, ...options }: QualityStreamOptions) {
    this.quantized = quantized
    this.forward = evaluatedPass(quantized, options)
    this.samples = this.newSamples()
  }

  /** Starts where the original starts: `original` has at least the rows of the windows. */
  startFrom(original: readonly MicroBatch[]): void {
    this.forward.startFrom((firstRow, target) => {
      copyStates(original, this.width, firstRow, target)
    })
  }

  /** Starts with the quantized model's own embeddings. */
  async embed(): Promise<void> {
    await this.quantized.prepare(undefined)
    await this.forward.embed()
  }

  get tokenCount(): number {
    return this.forward.tokenCount
  }

  /** To be given to the original's runLayer, so that experts can be compared one by one. */
  get watch(): ExpertWatch {
    return this.samples
  }

  /** The quantized model's states, to go on from later with `importStates` instead of a start. */
  exportStates(take: StateRows): Promise<void> {
    return this.forward.exportStates(take)
  }

  importStates(fill: StateRows): Promise<void> {
    return this.forward.importStates(fill)
  }

  /**
   * Runs the layer that the original has just run; `original` = its states now. Throws QUALITY_NOT_FINITE naming the layer when a weight, a
   * value or an error is NaN or infinite, CANCELLED, and what the readers throw.
   */
  async runLayer(
    layerIndex: number,
    original: readonly MicroBatch[],
    control: Pick<LayerControl, 'isCancelled'> = {},
  ): Promise<LayerQuality> {
    const { samples } = this
    this.samples = this.newSamples()
    try {
      await this.quantized.prepare(layerIndex)
      samples.divideInputs(this.quantized.expertInputDivisors?.(layerIndex))
      await this.forward.runLayer(layerIndex, IGNORE, { ...control, probe: samples })
    } catch (thrown: unknown) {
      throw asQualityError(layerIndex, AppError.from(thrown))
    }
    const experts = samples.measures()
    const measure = this.compareStates(original)
    for (const { relativeError, cosine } of [measure, ...experts]) {
      if (!Number.isFinite(relativeError + cosine)) {
        throw notFinite(`layer ${String(layerIndex)}`, 'the error of its output is not a finite number')
      }
    }
    return { layerIndex, ...measure, experts }
  }

  /** The quantized model's end of the stream, after the last layer and `prepare(undefined)`. */
  headSide(): HeadSide {
    const { model, reader } = this.quantized
    return {
      model,
      reader,
      variant: this.quantized.variantOf(undefined),
      copyRows: (firstRow, target) => {
        copyStates(this.forward.batches, this.width, firstRow, target)
      },
    }
  }

  /** Frees the graphs. Idempotent. */
  release(): Promise<void> {
    return this.forward.release()
  }

  private get width(): number {
    return this.quantized.model.text.hiddenSize
  }

  private compareStates(original: readonly MicroBatch[]): ErrorMeasure {
    const sums = new ErrorSums()
    for (const { firstRow, batch, time, hidden } of this.forward.batches) {
      const states = new Float32Array(batch * time * this.width)
      copyStates(original, this.width, firstRow, states)
      sums.add(states, hidden)
    }
    return sums.measure()
  }

  private newSamples(): ExpertSamples {
    const { expertCount, hiddenSize } = this.quantized.model.text
    return new ExpertSamples(expertCount, hiddenSize, this.forward.tokenCount)
  }
}

function asQualityError(layerIndex: number, error: AppError): AppError {
  const isNotFinite = ['WEIGHT_NOT_FINITE', 'ACTIVATION_NOT_FINITE', 'SCALE_NOT_FINITE'].includes(error.code)
  return isNotFinite ? notFinite(`layer ${String(layerIndex)}`, `${error.subject}: ${error.problem}`) : error
}

export function notFinite(subject: string, problem: string): AppError {
  return new AppError('QUALITY_NOT_FINITE', {
    subject,
    problem,
    remedy: 'leave the module unquantized, or calibrate with more data',
  })
}
