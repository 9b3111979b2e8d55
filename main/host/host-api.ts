/**
 * What the engine host offers to whoever has authority over paths: Electron main (across a utility process), the browser server and the
 * command line (in process). Paths are real, absolute and already granted; the renderer never gets here directly.
 */
import type { CheckId, CheckResult, CheckSnapshot } from '../../shared/domain/check.ts'
import type { CheckpointSummary, TensorOrder, TensorPage } from '../../shared/domain/checkpoint-summary.ts'
import type { ExportReport } from '../../shared/domain/export-report.ts'
import type { JobId, JobLogLine, JobSnapshot } from '../../shared/domain/job.ts'
import type { PartialState } from '../../shared/domain/partial-run.ts'
import type { PlanSummary } from '../../shared/domain/plan-summary.ts'
import type { PreflightReport } from '../../shared/domain/preflight.ts'
import type { RecipeScope } from '../../shared/domain/recipe-scope.ts'
import type { RecipeSummary } from '../../shared/domain/recipe-summary.ts'
import type { RunOptions } from '../../shared/domain/run-options.ts'

export interface HostStartRequest {
  readonly checkpointPath: string
  readonly options: RunOptions
  /** Absolute path of the finished export; must not exist or be an empty folder. */
  readonly outputPath: string
  /** Absolute path of a .txt, .jsonl or .safetensors file; undefined = built-in set. */
  readonly calibrationPath?: string | undefined
  /** Absolute path of a calibration dump (.safetensors or .json); replaces calibration. */
  readonly amaxPath?: string | undefined
  readonly canOverwrite?: boolean | undefined
  /** Continue an unfinished run of the same identity; start anew when there is none. */
  readonly canResume?: boolean | undefined
}

/** A long reading; see shared/domain/check.ts. */
export type HostCheckRequest =
  | {
      readonly kind: 'verify'
      readonly exportPath: string
      /** The checkpoint it was made from; undefined = values are checked by themselves. */
      readonly sourcePath: string | undefined
      /** Put the outcome into the export's report. */
      readonly shouldRecord: boolean
    }
  | { readonly kind: 'compare'; readonly leftPath: string; readonly rightPath: string }
  | { readonly kind: 'inspect'; readonly checkpointPath: string; readonly tensor: string }

/** An unfinished run on disk; see PartialRun. */
export interface HostPartial {
  readonly partialPath: string
  readonly outputPath: string
  readonly state: PartialState
  readonly problem: string | undefined
  readonly sizeBytes: number
  readonly doneTasks: number
  readonly modifiedMs: number
  /** What the run wrote about itself: data from a folder, not a permission to use its paths. */
  readonly recorded: RecordedRun | undefined
}

/** The request of a run, as it lies beside its journal. */
export interface RecordedRun {
  readonly checkpointPath: string
  readonly options: RunOptions
  readonly calibrationPath?: string | undefined
  readonly amaxPath?: string | undefined
  readonly taskCount: number
}

export interface HostApi {
  'checkpoint.open'(input: { readonly checkpointPath: string }): Promise<CheckpointSummary>
  'checkpoint.list_tensors'(input: {
    readonly checkpointPath: string
    readonly filter: string
    readonly order?: TensorOrder | undefined
    readonly offset: number
    readonly limit: number
  }): Promise<TensorPage>
  'recipe.list'(input: Record<string, never>): Promise<readonly RecipeSummary[]>
  'plan.make'(input: { readonly checkpointPath: string; readonly options: RunOptions }): Promise<PlanSummary>
  'plan.scope'(input: { readonly checkpointPath: string; readonly options: RunOptions }): Promise<RecipeScope>
  'device.list'(input: Record<string, never>): Promise<
    readonly {
      readonly device: 'cpu' | 'webgpu' | 'cuda'
      readonly isAvailable: boolean
      readonly detail: string
    }[]
  >
  'job.start'(input: HostStartRequest): Promise<{ readonly jobId: JobId }>
  'job.preflight'(input: HostStartRequest): Promise<PreflightReport>
  'job.pause'(input: { readonly jobId: JobId }): Promise<void>
  'job.continue'(input: { readonly jobId: JobId }): Promise<void>
  'job.cancel'(input: { readonly jobId: JobId }): Promise<void>
  'job.get'(input: { readonly jobId: JobId }): Promise<JobSnapshot>
  'job.list'(input: Record<string, never>): Promise<readonly JobSnapshot[]>
  'job.get_log'(input: { readonly jobId: JobId }): Promise<readonly JobLogLine[]>
  /** Unfinished runs directly in these folders; what cannot be read is left out. */
  'partial.list'(input: { readonly folders: readonly string[] }): Promise<readonly HostPartial[]>
  /** Throws PARTIAL_UNKNOWN when the folder carries no journal of ours, OUTPUT_IN_USE while a run writes it. */
  'partial.remove'(input: { readonly partialPath: string }): Promise<void>
  'check.start'(input: HostCheckRequest): Promise<{ readonly checkId: CheckId }>
  'check.cancel'(input: { readonly checkId: CheckId }): Promise<void>
  'check.get'(input: { readonly checkId: CheckId }): Promise<CheckSnapshot>
  /** Throws CHECK_UNKNOWN unless it has succeeded. */
  'check.result'(input: { readonly checkId: CheckId }): Promise<CheckResult>
  /** `quantmill/report.json` of an export. Throws REPORT_INVALID. */
  'report.get'(input: { readonly exportPath: string }): Promise<ExportReport>
  /** The same as a page of its own. */
  'report.get_page'(input: { readonly exportPath: string }): Promise<string>
  /** Stops every job cooperatively and releases the device; resolves when no native code runs any more. */
  'host.shutdown'(input: Record<string, never>): Promise<void>
}

export type HostRoute = keyof HostApi

/** Every route by name; `satisfies` keeps it complete. */
const HOST_ROUTES = {
  'checkpoint.open': true,
  'checkpoint.list_tensors': true,
  'recipe.list': true,
  'plan.make': true,
  'plan.scope': true,
  'device.list': true,
  'job.start': true,
  'job.preflight': true,
  'job.pause': true,
  'job.continue': true,
  'job.cancel': true,
  'job.get': true,
  'job.list': true,
  'job.get_log': true,
  'partial.list': true,
  'partial.remove': true,
  'check.start': true,
  'check.cancel': true,
  'check.get': true,
  'check.result': true,
  'report.get': true,
  'report.get_page': true,
  'host.shutdown': true,
} as const satisfies Record<HostRoute, true>

export function isHostRoute(text: string): text is HostRoute {
  return Object.hasOwn(HOST_ROUTES, text)
}

export interface HostEvents {
  readonly 'job.snapshot': JobSnapshot
  readonly 'job.log': JobLogLine
  readonly 'check.snapshot': CheckSnapshot
}

/** Messages between Electron main and the host process (structured clone). */
export interface HostRequestMessage {
  readonly kind: 'request'
  readonly seq: number
  readonly route: HostRoute
  readonly input: unknown
}
export type HostMessage =
  | { readonly kind: 'reply'; readonly seq: number; readonly ok: true; readonly value: unknown }
  | {
      readonly kind: 'reply'
      readonly seq: number
      readonly ok: false
      readonly error: import('../../shared/errors/app-error.ts').SerialisedError
    }
  | { readonly kind: 'event'; readonly event: keyof HostEvents; readonly payload: unknown }
  | { readonly kind: 'ready' }
