/** What a running job tells its owner. Implemented by the engine host (snapshots) and by tests. */
import type { StageName } from '../../../shared/domain/job.ts'

export interface JobObserver {
  /** Size of the map that expertTokens fills; called once the checkpoint is open. */
  setModel(layerCount: number, expertCount: number): void
  stageStarted(stage: StageName, total: number, unit: 'bytes' | 'layers' | 'steps'): void
  /** Absolute, in the stage's unit. `wasDone`: an earlier attempt did it, which says nothing about the speed of this one. */
  stageProgress(stage: StageName, done: number, wasDone?: boolean): void
  stageDone(stage: StageName): void
  stageSkipped(stage: StageName): void
  layerActive(layerIndex: number | undefined): void
  /** Tokens routed to each expert of a layer so far. */
  expertTokens(layerIndex: number, tokens: readonly number[]): void
  /** Largest input magnitude of each expert of a layer. */
  expertAmax(layerIndex: number, amax: readonly number[]): void
  /** Relative error of each expert of a layer; null for those without tokens. */
  expertErrors(layerIndex: number, errors: readonly (number | null)[]): void
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void
  /** The run is to end at the next opportunity, for good or to be continued later: it was cancelled or paused. */
  isCancelled(): boolean
}

/** Files of the build that a job needs; the same for every job of a process. */
export interface JobEnvironment {
  readonly version: string
  readonly exportWorkerFile: string
  readonly deviceWorkerFile: string
  /** Compares weights with their source; undefined = in the thread that asks. */
  readonly verifyWorkerFile?: string | undefined
  readonly kernelsFile: string
  readonly cpuCount: number
}
