/**
 * Calibration and export in one sweep: the device worker runs the forward pass layer by layer in memory that this side lends, and the
 * export workers quantize from the same memory as soon as the forward pass is done with it.
 */
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { mergeStats, EMPTY_STATS, type CalibrationStats } from '../../engine/calibration/stats.ts'
import { readCalibrationFiles } from '../../engine/io/node/calibration-files.ts'
import type { QwenTextConfig } from '../../engine/models/qwen3_5-moe/text-config.ts'
import type { HostStartRequest } from '../host-api.ts'
import { DeviceClient } from '../pool/device-client.ts'
import { chooseDevice } from '../pool/probe-devices.ts'
import { UnitExchange } from '../pool/unit-exchange.ts'
import { cancelled, type ExportSweep } from './export-sweep.ts'
import type { JobEnvironment, JobObserver } from './job-observer.ts'
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
  readonly observer: JobObserver
  readonly prepared: PreparedRun
  readonly work: WorkFolder
}

/** Throws CANCELLED, what data and device say, and the first failure of an export task. */
export async function calibrateAndExport(
  request: HostStartRequest,
  environment: JobEnvironment,
  observer: JobObserver,
  prepared: PreparedRun,
  sweep: ExportSweep,
  sources: readonly FileHandle[],
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
  try {
    const stage = { client, exchange, observer, prepared, work }
    const { tokenCount, notices } = await startCalibration(stage, request, sources)
    observer.log('info', `calibrating on ${device} with ${String(tokenCount)} tokens`)
    const stats = await runLayers(stage)
    const finished = await client.finishCalibration()
    await exchange.settle()
    observer.stageDone('calibrate')
    const { bytesRead, spilledBytes } = finished
    if (spilledBytes > 0) {
      observer.log('info', `${formatBytes(spilledBytes, 'en')} of hidden states went through a scratch file`)
    }
    return { stats: mergeStats(stats, finished.stats), device, bytesRead, spilledBytes, notices }
  } catch (error: unknown) {
    await exchange.settle() // a failed export task is the cause, the device worker's CANCELLED its effect
    if (observer.isCancelled()) throw cancelled()
    throw error
  } finally {
    clearInterval(poll)
    await client.close()
    exchange.close()
  }
}

async function startCalibration(
  { client, exchange, observer, prepared, work }: Stage,
  request: HostStartRequest,
  sources: readonly FileHandle[],
): Promise<{ readonly tokenCount: number; readonly notices: readonly string[] }> {
  const { samples, sequenceLength } = request.options
  const { checkpoint, model } = prepared
  const shouldObserveChannels = request.options.statistics === 'full'
  if (shouldObserveChannels) checkChannelSize(model.text)
  observer.stageStarted('calibrate', model.text.layerCount, 'layers')
  const data = await client.loadData(
    await readCalibrationFiles({
      checkpoint,
      vocabSize: model.text.vocabSize,
      maxPositions: model.text.maxPositions,
      calibrationPath: request.calibrationPath,
      samples,
      sequenceLength,
    }),
  )
  for (const warning of data.warnings) observer.log('warn', warning)
  const { tokenCount } = await client.startCalibration({
    model,
    descriptors: sources.map((handle) => handle.fd),
    batches: [data.batch],
    shouldObserveChannels,
    unitPort: exchange.workerPort,
    states: {
      limitBytes: stateLimitBytes(request.options.memoryBytes),
      scratchPath: join(work.ownPath, SCRATCH_NAME),
    },
  })
  return { tokenCount, notices: data.warnings }
}

async function runLayers({ client, observer, prepared }: Stage): Promise<CalibrationStats> {
  const { layerCount } = prepared.model.text
  let stats = EMPTY_STATS
  for (let layer = 0; layer < layerCount; layer += 1) {
    observer.layerActive(layer)
    const ofLayer = await client.runLayer(layer, (done, total) => {
      observer.stageProgress('calibrate', layer + done / total)
    })
    stats = mergeStats(stats, ofLayer)
    observer.stageProgress('calibrate', layer + 1)
    for (const tokens of ofLayer.expertTokens.values()) observer.expertTokens(layer, [...tokens])
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
