/** What each route answers and which events exist. Types only: the renderer imports this file, never the schemas' values. */
import type { AppCommandId } from '../domain/app-command.ts'
import type { AppInfo, DeviceInfo, FolderListing, PathGrant } from '../domain/app-info.ts'
import type { CheckId, CheckResult, CheckSnapshot } from '../domain/check.ts'
import type { CheckpointSummary, TensorPage } from '../domain/checkpoint-summary.ts'
import type { ExportReport } from '../domain/export-report.ts'
import type { JobId, JobLogLine, JobSnapshot } from '../domain/job.ts'
import type { LibraryEntry } from '../domain/library.ts'
import type { PartialRun } from '../domain/partial-run.ts'
import type { PlanSummary } from '../domain/plan-summary.ts'
import type { PreflightReport } from '../domain/preflight.ts'
import type { RecipeScope } from '../domain/recipe-scope.ts'
import type { RecipeSummary } from '../domain/recipe-summary.ts'
import type { Settings } from '../domain/settings.ts'
import type { SerialisedError } from '../errors/app-error.ts'
import type { RouteInput, RouteName } from './schemas.ts'

export interface RouteOutputs {
  'app.get_info': AppInfo
  /** Starts the engine host and asks every driver: seconds on some machines. */
  'app.list_devices': readonly DeviceInfo[]
  /** undefined = the user closed the dialog. */
  'grant.pick': PathGrant | undefined
  'grant.use_sample': PathGrant
  'folder.list': FolderListing
  'folder.grant': PathGrant
  'checkpoint.open': CheckpointSummary
  'checkpoint.list_tensors': TensorPage
  'recipe.list': readonly RecipeSummary[]
  'plan.make': PlanSummary
  'plan.scope': RecipeScope
  'job.start': { readonly jobId: JobId }
  'job.preflight': PreflightReport
  /** Stops within two seconds or one run of the device; the snapshot says `paused` when the device is released. */
  'job.pause': undefined
  'job.continue': undefined
  'job.cancel': undefined
  'job.get': JobSnapshot
  'job.list': readonly JobSnapshot[]
  'job.get_log': readonly JobLogLine[]
  'job.partials': readonly PartialRun[]
  'job.resume_partial': { readonly jobId: JobId }
  'job.remove_partial': undefined
  'job.grant_output': PathGrant
  'check.start': { readonly checkId: CheckId }
  'check.cancel': undefined
  'check.get': CheckSnapshot
  'check.result': CheckResult
  'report.get': ExportReport
  /** A whole HTML file without references. */
  'report.get_page': string
  /** Shows the export in the system's file manager. */
  'report.reveal': undefined
  'settings.get': Settings
  'settings.update': Settings
  'settings.set_output_folder': Settings
  'settings.add_calibration_set': Settings
  'settings.remove_calibration_set': Settings
  'library.list': readonly LibraryEntry[]
  'library.forget': undefined
}

export type RouteOutput<R extends RouteName> = RouteOutputs[R]

export interface AppEvents {
  /** At most ten a second per job, plus one for each change of state. */
  'job.snapshot': JobSnapshot
  'job.log': JobLogLine
  /** At most ten a second per check, plus its end. */
  'check.snapshot': CheckSnapshot
  /** A folder dropped on the window became a grant. */
  'grant.dropped': PathGrant
  /** Chosen from the native menu. */
  'app.command': { readonly command: AppCommandId }
}

export type EventName = keyof AppEvents

/** What crosses the wire for a request: never a rejection. */
export type Reply<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: SerialisedError }

/** The whole surface that a preload script or the browser bridge gives the renderer. */
export interface RendererApi {
  request<R extends RouteName>(route: R, input: RouteInput<R>): Promise<Reply<RouteOutput<R>>>
  /** Returns a function that stops listening. */
  on<E extends EventName>(event: E, listener: (payload: AppEvents[E]) => void): () => void
}
