/**
 * Calibration and export in one sweep: the device worker runs the forward pass layer by layer in memory that this side lends, and the
 * export workers quantize from the same memory as soon as the forward pass is done with it.
 */
import { join } from 'node:path'
import type { CoverageSearch } from '../../../shared/domain/job.ts'
import { candidateSamples } from '../../../shared/domain/run-options.ts'
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
import type { DeviceCalls } from '../../workers/device-protocol.ts'
import type { HostStartRequest } from '../host-api.ts'
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
import { AMAX_LIMIT_BYTES, type PreparedRun } from './prepare-run.ts'
import type { CalibrationOutcome } from './run-parts.ts'
import { stateLimitBytes } from './state-memory.ts'
import type { WorkFolder } from './work-folder.ts'

/** How soon a cancel reaches the device worker, which looks between two runs of a graph. */
const CANCEL_POLL_MS = 100
const SCRATCH_NAME = 'hidden-states.scratch'

interface Stage {
  readonly client: DeviceClient
  readonly exchange: UnitExchange
  readonly sweep: ExportSweep
  readonly observer: JobObserver
  readonly prepared: PreparedRun
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
): Promise<CalibrationOutcome> {
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
    const stage = { client, exchange, sweep, observer, prepared, work, boundaries }
    const { tokenCount, before, ...started } = await startCalibration(stage, request, descriptors)
    observer.log('info', `calibrating on ${device} with ${String(tokenCount)} tokens`)
    const stats = await runLayers(stage, before, started.coverageSearch === undefined ? 0 : 1)
    const notices = [...started.notices, ...shortNotices(started.coverageSearch, stats, observer)]
    const finished = await client.finishCalibration()
    await exchange.settle()
    await boundaries.settle()
    observer.stageDone('calibrate')
    const { spilledBytes } = finished
    if (spilledBytes > 0) {
      observer.log('info', `${formatBytes(spilledBytes, 'en')} of hidden states went through a scratch file`)
    }
    return {
      stats: mergeStats(stats, finished.stats),
      device,
      ...started,
      notices,
      bytesRead: started.bytesRead + finished.bytesRead,
      spilledBytes,
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
}

interface Started {
  readonly before: Before
  readonly tokenCount: number
  readonly notices: readonly string[]
  readonly coverageSearch: CoverageSearch | undefined
  /** Source bytes that were read before the calibration itself. */
  readonly bytesRead: number
}

async function startCalibration(
  stage: Stage,
  request: HostStartRequest,
  descriptors: readonly number[],
): Promise<Started> {
  const { client, exchange, sweep, observer, prepared, work, boundaries } = stage
  const { options } = request
  const { model } = prepared
  const shouldObserveChannels = options.statistics === 'full'
  if (shouldObserveChannels) checkChannelSize(model.text)
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
  const { embedding, norm } = globalSlices(model)
  const outputs = work.shards.map(({ fd }) => fd)
  const { tokenCount, ...begun } = await client.startCalibration({
    model,
    descriptors,
    copies: await copyTensors(sweep, prepared.plan, [embedding, norm], outputs),
    batches: [batch],
    shouldObserveChannels,
    percentile: prepared.plan.percentile,
    unitPort: exchange.workerPort,
    states,
    kept: boundaries.kept,
    inputs: inputsOf(client.device, batch),
  })
  return {
    tokenCount,
    before: beginning(stage, begun),
    notices: data.warnings,
    coverageSearch: covered?.search,
    bytesRead: covered?.bytesRead ?? 0,
  }
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
  if (continued === undefined) return { layersDone: 0, stats: EMPTY_STATS }
  boundaries.continueFrom(unusable.length)
  const { layersDone, stats } = continued
  const { layerCount } = prepared.model.text
  observer.log(
    'info',
    `continuing calibration: ${String(layersDone)} of ${String(layerCount)} layers were finished before`,
  )
  return { layersDone, stats: parseAmaxDump('calibration state', stats) }
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
  { client, observer, prepared }: Stage,
  request: HostStartRequest,
): Promise<CalibrationData> {
  const { checkpoint, model } = prepared
  const { samples, sequenceLength } = prepared.calibration
  const data = await client.loadData(
    await readCalibrationFiles({
      checkpoint,
      vocabSize: model.text.vocabSize,
      maxPositions: model.text.maxPositions,
      calibrationPath: request.calibrationPath,
      samples,
      maxSamples: candidateSamples({ ...request.options, samples }),
      sequenceLength,
    }),
  )
  for (const warning of data.warnings) observer.log('warn', warning)
  return data
}

/** undefined when no minimum was asked for. */
async function coverData(
  { client, observer, prepared }: Stage,
  { options: { minTokensPerExpert } }: HostStartRequest,
  batch: TokenBatch,
  places: Pick<CoverageRequest, 'descriptors' | 'states'>,
): Promise<CoveredData | undefined> {
  if (minTokensPerExpert === undefined) return undefined
  const { model, calibration } = prepared
  observer.log('info', `looking where the tokens of ${String(batch.batch)} samples go`)
  const covered = await coverExperts(
    client,
    { model, ...places, batch, samples: calibration.samples, minTokensPerExpert },
    (done) => {
      observer.stageProgress('calibrate', done)
    },
  )
  observer.log(covered.search.outOfReach.length > 0 ? 'warn' : 'info', describeSearch(covered.search))
  return covered
}

/** `passesBefore` = passes over all layers that the stage has shown already. */
async function runLayers(
  { client, observer, prepared, boundaries }: Stage,
  { layersDone, stats: statsBefore }: Before,
  passesBefore: number,
): Promise<CalibrationStats> {
  const { prefix, text } = prepared.model
  const shown = passesBefore * text.layerCount
  let stats = statsBefore
  const showExperts = (layer: number): void => {
    const module = `${prefix}.layers.${String(layer)}.mlp.experts`
    const tokens = stats.expertTokens.get(module)
    const amax = expertInputAmax(stats, module)
    if (tokens !== undefined) observer.expertTokens(layer, [...tokens])
    if (amax !== undefined) observer.expertAmax(layer, amax)
  }
  for (let layer = 0; layer < layersDone; layer += 1) showExperts(layer)
  observer.stageProgress('calibrate', shown + layersDone)
  for (let layer = layersDone; layer < text.layerCount; layer += 1) {
    observer.layerActive(layer)
    const ofLayer = await client.runLayer(layer, (done, total) => {
      observer.stageProgress('calibrate', shown + layer + done / total)
    })
    stats = mergeStats(stats, ofLayer)
    observer.stageProgress('calibrate', shown + layer + 1)
    showExperts(layer)
    await boundaries.keep(client, layer + 1, stats)
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
