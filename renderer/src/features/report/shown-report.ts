/** What the Report view shows, of a run of this session or of an export from the library. Pure. */
import type { GrantId, PathGrant } from '../../../../shared/domain/app-info.ts'
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import type {
  JobId,
  JobSnapshot,
  QualityFinding,
  RunReport,
  ServeCommand,
  UncoveredExpert,
} from '../../../../shared/domain/job.ts'

/** Whose report it is. */
export type ReportSubject =
  | { readonly kind: 'run'; readonly jobId: JobId; readonly report: RunReport }
  | { readonly kind: 'export'; readonly grant: PathGrant }

export interface ShownReport {
  readonly displayPath: string
  readonly checkpointName: string
  readonly recipe: string
  readonly profile: string
  readonly sourceBytes: number
  readonly outputBytes: number
  readonly tensorCount: number
  readonly quantizedTensorCount: number
  /** Over all layers. */
  readonly expertCount: number
  readonly calibratedTokens: number
  readonly calibrationNotices: readonly string[]
  readonly device: string
  readonly bitsPerWeight: number | undefined
  readonly uncoveredExperts: readonly UncoveredExpert[]
  readonly findings: readonly QualityFinding[]
  readonly repairs: readonly QualityFinding[]
  readonly serveCommands: readonly ServeCommand[]
  /** Times, files and memory: known of a run of this session only. */
  readonly run: RunReport | undefined
}

/** How requests name it. */
export function requestOf(subject: ReportSubject): { readonly jobId: JobId } | { readonly grantId: GrantId } {
  return subject.kind === 'run' ? { jobId: subject.jobId } : { grantId: subject.grant.grantId }
}

/** Equal for equal exports: a changed key is another report. */
export function keyOf(subject: ReportSubject | undefined): string | undefined {
  return subject?.kind === 'run' ? subject.jobId : subject?.grant.grantId
}

/** An export that was asked for by name goes before the run in view; undefined when that has not succeeded. */
export function subjectOf(
  chosen: PathGrant | undefined,
  job: JobSnapshot | undefined,
): ReportSubject | undefined {
  if (chosen !== undefined) return { kind: 'export', grant: chosen }
  if (job?.state.kind !== 'succeeded') return undefined
  return { kind: 'run', jobId: job.jobId, report: job.state.report }
}

export function shownOfRun(checkpointName: string, report: RunReport): ShownReport {
  return {
    ...report,
    checkpointName,
    calibrationNotices: report.calibrationNotices ?? [],
    repairs: report.repairs ?? [],
    bitsPerWeight: undefined,
    run: report,
  }
}

export function shownOfExport({ displayPath }: PathGrant, report: ExportReport): ShownReport {
  const { source, calibration, findings, repairs, serveCommands } = report
  return {
    ...{ displayPath, findings, repairs, serveCommands, run: undefined },
    checkpointName: source.name,
    recipe: report.export.recipe,
    profile: report.export.profile,
    sourceBytes: source.sizeBytes,
    outputBytes: report.export.sizeBytes,
    tensorCount: report.export.tensorCount,
    quantizedTensorCount: report.export.quantizedTensorCount,
    expertCount: source.layerCount * source.expertCount,
    calibratedTokens: calibration.tokenCount,
    calibrationNotices: calibration.notices,
    device: calibration.device,
    bitsPerWeight: report.export.bitsPerWeight,
    uncoveredExperts: calibration.uncoveredExperts,
  }
}
