/**
 * What the quantization costs, measured while the sweep goes on: behind every layer of the calibration, once the layer is written, the
 * device worker runs the quantized layer on the first tokens. A measurement that cannot go on ends with a reason; the export does not.
 */
import type { QualityFinding } from '../../../shared/domain/job.ts'
import type { LayerQuality, QualityReport } from '../../../shared/domain/quality-report.ts'
import { measuredSamples, type QualityChoice, type RunOptions } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { TokenBatch } from '../../engine/calibration/hidden-states.ts'
import { stateBytes } from '../../engine/calibration/stored-states.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { QwenTextConfig } from '../../engine/models/qwen3_5-moe/text-config.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import { qualityReport } from '../../engine/quality/quality-report.ts'
import type { KnownScales } from '../../engine/quality/sweep-quality.ts'
import type { CopiedTensor } from '../../workers/copied-tensors.ts'
import type { MeasureQuality, StatePlaces } from '../../workers/device-protocol.ts'
import type { DeviceClient, OnProgress } from '../pool/device-client.ts'
import type { UnitExchange } from '../pool/unit-exchange.ts'
import type { ExportSweep } from './export-sweep.ts'
import type { JobObserver } from './job-observer.ts'
import { knownScales } from './known-scales.ts'
import type { PreparedRun } from './prepare-run.ts'

export interface MeasuredQuality {
  /** undefined when the measurement ended early; then a finding or a notice says why. */
  readonly report: QualityReport | undefined
  readonly findings: readonly QualityFinding[]
  readonly notices: readonly string[]
  /** Source bytes that were read for it. */
  readonly bytesRead: number
}

/** Who takes part in a measurement. */
export interface MeasurementParts {
  readonly client: DeviceClient
  readonly exchange: UnitExchange
  readonly sweep: ExportSweep
  readonly observer: JobObserver
  readonly prepared: PreparedRun
  /** Open files of the source by shard. */
  readonly descriptors: readonly number[]
}

/**
 * What is measured: as asked for, else everything where a calibration runs anyway and nothing where the export needs no data. Nothing either
 * where channels are rescaled: their layers are written only after the calibration has passed them.
 */
export function qualityLevel(
  { quality }: Pick<RunOptions, 'quality'>,
  needsCalibration: boolean,
  { smoothing }: Pick<ExportPlan, 'smoothing'>,
): QualityChoice {
  if (smoothing !== undefined) return 'off'
  return quality ?? (needsCalibration ? 'full' : 'off')
}

/** The first windows of the data, as many as are measured. */
export function measuredWindows({ batch, time, ids }: TokenBatch): TokenBatch {
  const count = measuredSamples(batch, time)
  return { batch: count, time, ids: ids.subarray(0, count * time) }
}

/** Hidden states of both models within one limit: a quarter of it at most for the second. */
export function shareStates(
  { limitBytes, scratchPath }: StatePlaces,
  config: Pick<QwenTextConfig, 'hiddenSize'>,
  { batch, time }: TokenBatch,
): { readonly first: StatePlaces; readonly second: StatePlaces } {
  const wanted = stateBytes(config, batch * time)
  const secondBytes = Math.min(wanted, Math.floor(limitBytes / 4))
  return {
    first: { limitBytes: limitBytes - secondBytes, scratchPath },
    second: { limitBytes: secondBytes, scratchPath: `${scratchPath}-2` },
  }
}

/** For the start of the device worker's calibration. */
export function measureRequest(
  { textFiles }: Pick<ExportPlan, 'textFiles'>,
  exportPath: string,
  windows: TokenBatch,
  states: StatePlaces,
): MeasureQuality {
  const texts = new Map(textFiles.map(({ fileName, text }) => [fileName, text]))
  return { exportPath, texts, windows: [windows], expertInputs: 'layer_max', states }
}

export class QualityMeasurement {
  private readonly parts: MeasurementParts
  private readonly level: Exclude<QualityChoice, 'off'>
  /** Measured windows, and how many there were. */
  private readonly windows: { readonly measured: number; readonly available: number }
  private layers: LayerQuality[] = []
  private ending: Pick<MeasuredQuality, 'findings' | 'notices'> | undefined

  constructor(
    parts: MeasurementParts,
    level: Exclude<QualityChoice, 'off'>,
    windows: { readonly measured: number; readonly available: number },
  ) {
    this.parts = parts
    this.level = level
    this.windows = windows
  }

  /** Of the finished layers; what a state between layers keeps. */
  get measured(): readonly LayerQuality[] {
    return this.layers
  }

  /** Goes on behind layers that an earlier attempt has measured. */
  continueFrom(layers: readonly LayerQuality[]): void {
    this.layers = [...layers]
    for (const layer of layers) this.show(layer)
  }

  /** After the calibration's own layer. Throws CANCELLED and what the export threw. */
  async afterLayer(layerIndex: number, stats: CalibrationStats, onProgress: OnProgress): Promise<void> {
    if (this.ending !== undefined) return
    const { client, exchange, sweep, prepared } = this.parts
    await exchange.settleLayer(layerIndex)
    await sweep.runNow([...prepared.plan.tasksOfLayer(layerIndex)])
    await this.attempt(async () => {
      const layer = await client.measureLayer(layerIndex, this.known(layerIndex, stats), onProgress)
      this.layers.push(layer)
      this.show(layer)
    })
  }

  /** After the end of the calibration; everything outside the layers is exported on the way. */
  async finish(stats: CalibrationStats, copies: readonly CopiedTensor[]): Promise<MeasuredQuality> {
    const { client, sweep, prepared, descriptors } = this.parts
    const { model } = prepared
    let report: QualityReport | undefined
    let bytesRead = 0
    if (this.ending === undefined && this.level === 'full') {
      await sweep.runRemaining()
      await this.attempt(async () => {
        const known = this.known(undefined, stats)
        const measured = await client.measureText({ model, known, descriptors, copies })
        bytesRead = measured.bytesRead
        report = this.report(
          qualityReport(measured.comparison, this.layers, this.windows.measured, 'layer_max'),
        )
      })
    } else if (this.ending === undefined) {
      const { measured } = this.windows
      report = this.report({ windows: measured, tokens: 0, layers: this.layers, expertInputs: 'layer_max' })
    }
    return { report, bytesRead, ...(this.ending ?? { findings: [], notices: [] }) }
  }

  private report(quality: QualityReport): QualityReport {
    const { measured, available } = this.windows
    return measured === available ? quality : { ...quality, availableWindows: available }
  }

  private known(layerIndex: number | undefined, stats: CalibrationStats): KnownScales {
    const { plan, model } = this.parts.prepared
    return knownScales(plan, model, layerIndex, stats)
  }

  private show({ layerIndex, experts }: LayerQuality): void {
    const { observer, prepared } = this.parts
    const errors = new Array<number | null>(prepared.model.text.expertCount).fill(null)
    for (const { expertIndex, relativeError } of experts) errors[expertIndex] = relativeError
    observer.expertErrors(layerIndex, errors)
  }

  /** What is wrong with the measurement ends it; what is wrong with the run ends the run. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (thrown: unknown) {
      const { code, subject, problem, kind } = AppError.from(thrown)
      if (!['quality', 'unsupported', 'environment'].includes(kind)) throw thrown
      const notice = `quality was not measured to its end: ${subject}: ${problem}`
      this.parts.observer.log('warn', notice)
      this.ending =
        kind === 'quality'
          ? { findings: [{ code, subject, message: problem }], notices: [] }
          : { findings: [], notices: [notice] }
    }
  }
}
