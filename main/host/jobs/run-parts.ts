/** What a run has in hand between its stages. Types only, so that the stages need not import one another. */
import type { CoverageSearch, QualityFinding } from '../../../shared/domain/job.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { SmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'
import type { HostStartRequest } from '../host-api.ts'
import type { ExportSweep } from './export-sweep.ts'
import type { LoggedObserver } from './job-log.ts'
import type { JobEnvironment } from './job-observer.ts'
import type { MeasuredQuality } from './measure-quality.ts'
import type { PreparedRun } from './prepare-run.ts'

export interface CalibrationOutcome {
  readonly stats: CalibrationStats
  /** `none` when nothing was calibrated. */
  readonly device: string
  /** Source bytes that the device worker read. */
  readonly bytesRead: number
  /** Bytes of hidden states written to the scratch file, each time they changed. */
  readonly spilledBytes: number
  /** Where the calibration differs from what was asked for. */
  readonly notices: readonly string[]
  readonly coverageSearch?: CoverageSearch | undefined
  /** undefined when it was not measured. */
  readonly quality?: MeasuredQuality | undefined
  /** Found between calibration and export; undefined for a recipe without. */
  readonly smoothing?: SmoothingRecord | undefined
}

export interface RunParts {
  readonly request: HostStartRequest
  readonly environment: JobEnvironment
  readonly prepared: PreparedRun
  readonly sweep: ExportSweep
  /** What activation scales had to fall back on. */
  readonly scaleFindings: readonly QualityFinding[]
  readonly calibrated: CalibrationOutcome
  readonly workerCount: number
  readonly lines: LoggedObserver['lines']
}
