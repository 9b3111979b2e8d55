/** What the quantization cost: the sealed export against its source on the first calibration windows, both on the CPU. */
import { join } from 'node:path'
import type { QualityFinding } from '../../../shared/domain/job.ts'
import type { QualityReport } from '../../../shared/domain/quality-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { readCalibrationFiles } from '../../engine/io/node/calibration-files.ts'
import { qualityReport } from '../../engine/quality/quality-report.ts'
import type { HostStartRequest } from '../host-api.ts'
import { DeviceClient } from '../pool/device-client.ts'
import { cancelled } from './export-sweep.ts'
import type { JobEnvironment, JobObserver } from './job-observer.ts'
import type { OutputFolder } from './output-folder.ts'
import type { PreparedRun } from './prepare-run.ts'
import { stateLimitBytes } from './state-memory.ts'

/** Tokens at most: enough for perplexities to a few tenths of a percent, few enough for a CPU. One window is always measured. */
const MAX_TOKENS = 8192
const CANCEL_POLL_MS = 100

export interface MeasuredQuality {
  /** undefined when something was not a finite number; then a finding names the layer. */
  readonly report: QualityReport | undefined
  readonly findings: readonly QualityFinding[]
  /** Source bytes that were read for it. */
  readonly bytesRead: number
}

/** Throws CANCELLED, and what data, device and readers say. */
export async function measureQuality(
  request: HostStartRequest,
  environment: JobEnvironment,
  observer: JobObserver,
  prepared: PreparedRun,
  output: OutputFolder,
): Promise<MeasuredQuality> {
  const { checkpoint, model, calibration } = prepared
  const { sequenceLength } = calibration
  const samples = Math.max(1, Math.min(calibration.samples, Math.floor(MAX_TOKENS / sequenceLength)))
  const data = await readCalibrationFiles({
    checkpoint,
    vocabSize: model.text.vocabSize,
    maxPositions: model.text.maxPositions,
    calibrationPath: request.calibrationPath,
    samples,
    sequenceLength,
  })
  const client = await DeviceClient.start({ workerFile: environment.deviceWorkerFile, device: 'cpu' })
  const poll = setInterval(() => {
    if (observer.isCancelled()) client.cancel()
  }, CANCEL_POLL_MS)
  try {
    const { batch } = await client.loadData(data)
    observer.log('info', `measuring quality on ${String(batch.batch * batch.time)} tokens`)
    const { comparison, bytesRead } = await client.evaluate({
      path: output.partialPath,
      againstPath: request.checkpointPath,
      expertInputs: 'layer_max',
      windows: [batch],
      states: {
        limitBytes: Math.floor(stateLimitBytes(request.options.memoryBytes) / 2),
        scratchPath: join(output.partialPath, 'quantmill', 'quality.scratch'),
      },
    })
    const report = comparison && qualityReport(comparison.all, comparison.layers, batch.batch, 'layer_max')
    return { report, findings: [], bytesRead }
  } catch (thrown: unknown) {
    if (observer.isCancelled()) throw cancelled()
    const { code, subject, problem, kind } = AppError.from(thrown)
    if (kind !== 'quality') throw thrown
    return { report: undefined, findings: [{ code, subject, message: problem }], bytesRead: 0 }
  } finally {
    clearInterval(poll)
    await client.close()
  }
}
