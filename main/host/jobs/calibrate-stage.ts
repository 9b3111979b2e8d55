/**
 * Calibration and export in one sweep: the device worker runs the forward pass layer by layer in memory that this side lends, and the
 * export workers quantize from the same memory as soon as the forward pass is done with it.
 */
import { join } from 'node:path'
import type { CoverageSearch } from '../../../shared/domain/job.ts'
import type { LayerQuality } from '../../../shared/domain/quality-report.ts'
import { candidateSamples, measuredSamples, type QualityChoice } from '../../../shared/domain/run-options.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { CalibrationData } from '../../engine/calibration/data/calibration-input.ts'
import type { TokenBatch } from '../../engine/calibration/hidden-states.ts'
import { parseAmaxDump } from '../../engine/calibration/amax-dump.ts'
import { globalSlices } from '../../engine/calibration/weight-units.ts'
import { mergeStats, EMPTY_STATS, type CalibrationStats } from '../../engine/calibration/stats.ts'
import { readCalibrationFiles } from '../../engine/io/node/calibration-files.ts'
import { byteView } from '../../engine/tensor/byte-view.ts'
import type { QwenTextConfig } from '../../engine/models/qwen3_5-moe/text-config.ts'
import type { DeviceCalls, MeasureQuality, StatePlaces } from '../../workers/device-protocol.ts'
import type { HostStartRequest } from '../host-api.ts'
import type { CopiedTensor } from '../../workers/copied-tensors.ts'
import { DeviceClient } from '../pool/device-client.ts'
import { chooseDevice } from '../pool/probe-devices.ts'
import { UnitExchange } from '../pool/unit-exchange.ts'
import { copyTensors } from './copy-tensors.ts'
import {
  countShort,
  coverExperts,
  describeSearch,
  type CoverageRequest,
  type CoveredData,
} from './cover-experts.ts'
import { CalibrationBoundaries } from './calibration-boundaries.ts'
import { cancelled, type ExportSweep } from './export-sweep.ts'
import { expertInputAmax } from './expert-statistics.ts'
import type { JobEnvironment, JobObserver } from './job-observer.ts'
import { digest } from './journal.ts'
import { AMAX_LIMIT_BYTES, needsStatistics, type PreparedRun } from './prepare-run.ts'
import type { CalibrationOutcome } from './run-parts.ts'
import { stateLimitBytes } from './state-memory.ts'
import {
  measuredWindows,
  measureRequest,
  qualityLevel,
  QualityMeasurement,
  shareStates,
  type MeasurementParts,
} from './measure-quality.ts'
import type { WorkFolder } from './work-folder.ts'

/** How soon a cancel reaches the device worker, which looks between two runs of a graph. */
const CANCEL_POLL_MS = 100
const SCRATCH_NAME = 'hidden-states.scratch'

interface Stage extends MeasurementParts {
  /** False when the forward pass is for the measurement of quality alone. */
  readonly needsCalibration: boolean
  readonly quality: QualityChoice
  /** The folder in which the export is written. */
  readonly exportPath: string
  readonly work: WorkFolder
  readonly boundaries: CalibrationBoundaries
}

/** Throws CANCELLED, what data and device say, and the first failure of an export task. */
export async function calibrateAndExport(
  request: HostStartRequest,
  environment: JobEnvironment,
  observer: JobObserver,
  prepared: PreparedRun,
  sweep: ExportSweep,
  descriptors: readonly number[],
  work: WorkFolder,
  exportPath: string,
): Promise<CalibrationOutcome> {
  const needsCalibration = needsStatistics(prepared)
  const device = await chooseDevice(request.options.device, environment.deviceWorkerFile)
  const client = await DeviceClient.start({
    workerFile: environment.deviceWorkerFile,
    device,
    onNotice: (message) => {
      observer.log('warn', message)
    },
  })
  const exchange = new UnitExchange(sweep, () => {
    client.cancel()
  })
  const poll = setInterval(() => {
    if (observer.isCancelled()) client.cancel()
  }, CANCEL_POLL_MS)
  const boundaries = new CalibrationBoundaries(work, device)
  try {
    const parts = { client, exchange, sweep, observer, prepared, work, boundaries, descriptors, exportPath }
    const stage = {
      ...parts,
      needsCalibration,
      quality: qualityLevel(request.options, needsCalibration, prepared.plan),
    }
    const { tokenCount, before, copies, measurement, ...started } = await startCalibration(stage, request)
    const what = needsCalibration ? 'calibrating' : 'measuring'
    observer.log('info', `${what} on ${device} with ${String(tokenCount)} tokens`)
    const passesBefore = started.coverageSearch === undefined ? 0 : 1
    const layerStats = await runLayers(stage, measurement, before, passesBefore)
    const notices = [...started.notices, ...shortNotices(started.coverageSearch, layerStats, observer)]
    const finished = await client.finishCalibration()
    await exchange.settle()
    await boundaries.settle()
    const stats = usedStats(stage, mergeStats(layerStats, finished.stats))
    const quality = await measurement?.finish(stats, copies)
    observer.stageDone('calibrate')
    const { spilledBytes } = finished
    if (spilledBytes > 0) {
      observer.log('info', `${formatBytes(spilledBytes, 'en')} of hidden states went through a scratch file`)
    }
    return {
      stats,
      device: needsCalibration ? device : 'none',
      ...started,
      notices: [...notices, ...(quality?.notices ?? [])],
      bytesRead: started.bytesRead + finished.bytesRead + (quality?.bytesRead ?? 0),
      spilledBytes,
      quality,
    }
  } catch (error: unknown) {
    await exchange.settle() // a failed export task is the cause, the device worker's CANCELLED its effect
    if (observer.isCancelled()) throw cancelled()
    throw error
  } finally {
    clearInterval(poll)
    await client.close()
    await boundaries.settle().catch(() => undefined) // the run ends with its own error; this only saves work
    exchange.close()
  }
}

/** Where a calibration begins: at its first layer, or behind those that an earlier attempt finished. */
interface Before {
  readonly layersDone: number
  readonly stats: CalibrationStats
  readonly quality: readonly LayerQuality[]
}

interface Started {
  readonly copies: readonly CopiedTensor[]
  /** undefined: quality is not measured. */
  readonly measurement: QualityMeasurement | undefined
  readonly before: Before
  readonly tokenCount: number
  readonly notices: readonly string[]
  readonly coverageSearch: CoverageSearch | undefined
  /** Source bytes that were read before the calibration itself. */
  readonly bytesRead: number
}

async function startCalibration(stage: Stage, request: HostStartRequest): Promise<Started> {
  const { client, exchange, observer, prepared, work, boundaries, descriptors } = stage
  const { options } = request
  const { model } = prepared
  const { smoothing, percentile } = prepared.plan
  const shouldObserveChannels = wantsChannels(request, prepared)
  const { layerCount } = model.text
  const passes = options.minTokensPerExpert === undefined ? 1 : 2
  observer.stageStarted('calibrate', passes * layerCount, 'layers')
  const data = await loadData(stage, request)
  const states = {
    limitBytes: stateLimitBytes(options.memoryBytes),
    scratchPath: join(work.ownPath, SCRATCH_NAME),
  }
  const covered = await coverData(stage, request, data.batch, { descriptors, states })
  const batch = covered?.batch ?? data.batch
  const copies = await copyGlobals(stage)
  const quality = planMeasurement(stage, batch, states)
  const { tokenCount, ...begun } = await client.startCalibration({
    model,
    descriptors,
    copies,
    batches: [batch],
    shouldObserveChannels,
    percentile,
    // Nothing can be exported before its vectors are found, which needs the statistics of the layer.
    unitPort: smoothing === undefined ? exchange.workerPort : undefined,
    states: quality?.states ?? states,
    quality: quality?.request,
    kept: boundaries.kept,
    inputs: inputsOf(client.device, batch),
  })
  return {
    tokenCount,
    copies,
    measurement: quality?.measurement,
    before: beginning(stage, begun),
    notices: data.warnings,
    coverageSearch: covered?.search,
    bytesRead: covered?.bytesRead ?? 0,
  }
}

/** Throws what checkChannelSize throws. */
function wantsChannels({ options }: HostStartRequest, { plan, model }: PreparedRun): boolean {
  const isWanted = options.statistics === 'full' || plan.smoothing !== undefined
  if (isWanted) checkChannelSize(model.text)
  return isWanted
}

/** Tensors outside the layers that the device worker reads: the export has them before. */
function copyGlobals({ sweep, prepared, work, quality }: Stage): Promise<readonly CopiedTensor[]> {
  const { embedding, norm, head } = globalSlices(prepared.model)
  const wanted = quality === 'full' ? [embedding, norm, head] : [embedding, norm]
  const outputs = work.shards.map(({ fd }) => fd)
  return copyTensors(sweep, prepared.plan, wanted, outputs)
}

interface PlannedMeasurement {
  readonly measurement: QualityMeasurement
  readonly request: MeasureQuality
  /** Of the calibration, beside it. */
  readonly states: StatePlaces
}

function planMeasurement(
  stage: Stage,
  batch: TokenBatch,
  states: StatePlaces,
): PlannedMeasurement | undefined {
  const { quality, prepared, exportPath, observer } = stage
  if (quality === 'off') return undefined
  const windows = measuredWindows(batch)
  const { first, second } = shareStates(states, prepared.model.text, windows)
  const counts = { measured: windows.batch, available: batch.batch }
  const of = counts.measured < counts.available ? ` of ${String(counts.available)}` : ''
  observer.log(
    'info',
    `measuring quality on ${String(windows.batch)}${of} windows of ${String(batch.time)} tokens`,
  )
  return {
    measurement: new QualityMeasurement(stage, quality, counts),
    request: measureRequest(prepared.plan, exportPath, windows, second),
    states: first,
  }
}

/** What scales are made from: the statistics of this pass, unless others were given or none are needed. */
function usedStats({ needsCalibration, prepared }: Stage, measured: CalibrationStats): CalibrationStats {
  return needsCalibration ? measured : (prepared.givenStats ?? EMPTY_STATS)
}

/** Digest of what hidden states depend on beside checkpoint and version. */
function inputsOf(device: string, { batch, time, ids }: TokenBatch): string {
  return digest(`${device} ${String(batch)} x ${String(time)}\n`, byteView(ids))
}

function beginning(
  { observer, prepared, boundaries }: Stage,
  { continued, unusable }: Pick<DeviceCalls['start']['output'], 'continued' | 'unusable'>,
): Before {
  for (const reason of unusable) observer.log('warn', `calibration cannot continue from ${reason}`)
  if (continued === undefined) return { layersDone: 0, stats: EMPTY_STATS, quality: [] }
  boundaries.continueFrom(unusable.length)
  const { layersDone, stats, quality } = continued
  const { layerCount } = prepared.model.text
  observer.log(
    'info',
    `continuing calibration: ${String(layersDone)} of ${String(layerCount)} layers were finished before`,
  )
  return { layersDone, stats: parseAmaxDump('calibration state', stats), quality }
}

function shortNotices(
  search: CoverageSearch | undefined,
  { expertTokens }: CalibrationStats,
  observer: JobObserver,
): readonly string[] {
  const short = search === undefined ? 0 : countShort(search, expertTokens)
  if (short === 0) return []
  const notice = `${String(short)} experts received fewer tokens than foreseen`
  observer.log('warn', notice)
  return [notice]
}

async function loadData(
  { client, observer, prepared, needsCalibration }: Stage,
  request: HostStartRequest,
): Promise<CalibrationData> {
  const { checkpoint, model } = prepared
  const { samples, sequenceLength } = prepared.calibration
  const measured = measuredSamples(samples, sequenceLength)
  const data = await client.loadData(
    await readCalibrationFiles({
      checkpoint,
      vocabSize: model.text.vocabSize,
      maxPositions: model.text.maxPositions,
      calibrationPath: request.calibrationPath,
      samples: needsCalibration ? samples : measured,
      maxSamples: needsCalibration ? candidateSamples({ ...request.options, samples }) : measured,
      sequenceLength,
    }),
  )
  for (const warning of data.warnings) observer.log('warn', warning)
  return data
}

/** undefined when no minimum was asked for. */
async function coverData(
  { client, observer, prepared, needsCalibration, work }: Stage,
  { options: { minTokensPerExpert } }: HostStartRequest,
  batch: TokenBatch,
  places: Pick<CoverageRequest, 'descriptors' | 'states'>,
): Promise<CoveredData | undefined> {
  if (minTokensPerExpert === undefined || !needsCalibration) return undefined
  const { model, calibration } = prepared
  observer.log('info', `looking where the tokens of ${String(batch.batch)} samples go`)
  const covered = await coverExperts(
    client,
    { model, ...places, batch, samples: calibration.samples, minTokensPerExpert, ownPath: work.ownPath },
    (done) => {
      observer.stageProgress('calibrate', done)
    },
  )
  if (covered.isKept) observer.log('info', 'they were chosen before; the choice is used again')
  observer.log(covered.search.outOfReach.length > 0 ? 'warn' : 'info', describeSearch(covered.search))
  return covered
}

/** `passesBefore` = passes over all layers that the stage has shown already. */
async function runLayers(
  stage: Stage,
  measurement: QualityMeasurement | undefined,
  { layersDone, stats: statsBefore, quality }: Before,
  passesBefore: number,
): Promise<CalibrationStats> {
  const { client, observer, prepared, boundaries, needsCalibration } = stage
  const { prefix, text } = prepared.model
  const shown = passesBefore * text.layerCount
  let stats = statsBefore
  const showExperts = (layer: number): void => {
    const module = `${prefix}.layers.${String(layer)}.mlp.experts`
    const tokens = stats.expertTokens.get(module)
    const amax = expertInputAmax(stats, module)
    if (!needsCalibration) return
    if (tokens !== undefined) observer.expertTokens(layer, [...tokens])
    if (amax !== undefined) observer.expertAmax(layer, amax)
  }
  for (let layer = 0; layer < layersDone; layer += 1) showExperts(layer)
  measurement?.continueFrom(quality)
  const share = measurement === undefined ? 1 : 1 / 2
  observer.stageProgress('calibrate', shown + layersDone)
  for (let layer = layersDone; layer < text.layerCount; layer += 1) {
    observer.layerActive(layer)
    const ofLayer = await client.runLayer(layer, (done, total) => {
      observer.stageProgress('calibrate', shown + layer + (share * done) / total)
    })
    stats = mergeStats(stats, ofLayer)
    showExperts(layer)
    await measurement?.afterLayer(layer, usedStats(stage, stats), (done, total) => {
      observer.stageProgress('calibrate', shown + layer + share + (share * done) / total)
    })
    observer.stageProgress('calibrate', shown + layer + 1)
    await boundaries.keep(client, layer + 1, stats, measurement?.measured ?? [])
  }
  return stats
}

/** Channels of every expert in f32, maximum and mean; what other linears add is small beside them. Throws USAGE. */
function checkChannelSize({ layerCount, expertCount, hiddenSize, expertWidth }: QwenTextConfig): void {
  const sizeBytes = layerCount * expertCount * (hiddenSize + expertWidth) * 2 * 4
  if (sizeBytes <= AMAX_LIMIT_BYTES) return
  throw new AppError('USAGE', {
    subject: '--statistics full',
    problem: `the channels of this model take ${formatBytes(sizeBytes, 'en')}, a dump can have ${formatBytes(AMAX_LIMIT_BYTES, 'en')}`,
    remedy: 'use --statistics lean',
  })
}
