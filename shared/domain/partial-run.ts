/** An unfinished run as it lies on disk. Plain data, JSON safe. */
import type { GrantId } from './app-info.ts'

export type PartialId = string & { readonly __brand: 'PartialId' }

/**
 * `resumable`: its journal can be continued. `running`: a run is writing it now. `damaged`: it carries a journal that cannot be continued;
 * it can only be removed.
 */
export type PartialState = 'resumable' | 'running' | 'damaged'

export interface PartialRun {
  /** Opaque, valid for this session. */
  readonly partialId: PartialId
  /** Name that the finished export would have. */
  readonly name: string
  readonly displayPath: string
  readonly state: PartialState
  /** Why it cannot be continued; undefined unless damaged. */
  readonly problem: string | undefined
  /** What it takes on disk. */
  readonly sizeBytes: number
  readonly recipe: string | undefined
  readonly checkpointName: string | undefined
  /** Tasks of the plan that count as finished, of all. */
  readonly doneTasks: number
  readonly totalTasks: number | undefined
  /** Last write to its journal, milliseconds since the epoch. */
  readonly modifiedMs: number
  /** The checkpoint it reads, where it is granted already; else `job.resume_partial` needs a grant. */
  readonly checkpointGrantId: GrantId | undefined
  /** What must be granted before it can be continued, as the run recorded it; display text. */
  readonly needs: readonly { readonly purpose: 'checkpoint' | 'calibration'; readonly displayPath: string }[]
}
