/** State, progress and result of one run, as the host publishes it. Plain data, JSON safe. */
import type { SerialisedError } from '../errors/app-error.ts'
import type { QualityReport } from './quality-report.ts'

export type JobId = string & { readonly __brand: 'JobId' }

export const STAGE_NAMES = ['plan', 'calibrate', 'export', 'seal', 'verify'] as const
export type StageName = (typeof STAGE_NAMES)[number]

export interface StageProgress {
  readonly name: StageName
  readonly state: 'waiting' | 'active' | 'done' | 'skipped'
  /** In `unit`; totals are known from the plan. */
  readonly done: number
  readonly total: number
  readonly unit: 'bytes' | 'layers' | 'steps'
}

export type JobState =
  | { readonly kind: 'queued' }
  | { readonly kind: 'running'; readonly stage: StageName }
  /** Stopping at the next opportunity; the stage is the one that was interrupted. */
  | { readonly kind: 'pausing'; readonly stage: StageName }
  /** Device and memory are released, what is finished is on disk; goes on from there when it is continued. */
  | { readonly kind: 'paused'; readonly stage: StageName }
  | { readonly kind: 'cancelling'; readonly stage: StageName }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly error: SerialisedError }
  | { readonly kind: 'succeeded'; readonly report: RunReport }

export type JobEvent =
  | { readonly kind: 'stage_started'; readonly stage: StageName }
  | { readonly kind: 'pause_requested' }
  | { readonly kind: 'paused' }
  | { readonly kind: 'continued' }
  | { readonly kind: 'cancel_requested' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly error: SerialisedError }
  | { readonly kind: 'succeeded'; readonly report: RunReport }

export function isFinished(state: JobState): boolean {
  return state.kind === 'cancelled' || state.kind === 'failed' || state.kind === 'succeeded'
}

/** Next state of a job; an event that is invalid in a state leaves it unchanged (the caller logs that). Total over state x event. */
export function transition(state: JobState, event: JobEvent): JobState {
  if (isFinished(state)) return state
  switch (event.kind) {
    case 'stage_started':
      return state.kind === 'queued' || state.kind === 'running'
        ? { kind: 'running', stage: event.stage }
        : state
    case 'pause_requested':
      return state.kind === 'running' ? { kind: 'pausing', stage: state.stage } : state
    case 'paused':
      return state.kind === 'pausing' ? { kind: 'paused', stage: state.stage } : state
    case 'continued':
      return state.kind === 'paused' ? { kind: 'running', stage: state.stage } : state
    case 'cancel_requested':
      return afterCancel(state)
    case 'cancelled':
      return { kind: 'cancelled' }
    case 'failed':
      return { kind: 'failed', error: event.error }
    case 'succeeded':
      return { kind: 'succeeded', report: event.report }
  }
}

/** What runs is asked to stop; what does not run is over at once. */
function afterCancel(state: JobState): JobState {
  if (state.kind === 'running' || state.kind === 'pausing') return { kind: 'cancelling', stage: state.stage }
  return state.kind === 'queued' || state.kind === 'paused' ? { kind: 'cancelled' } : state
}

export interface UncoveredExpert {
  readonly layerIndex: number
  readonly expertIndex: number
  readonly fallback: string
}

/** Tokens of the experts of one layer; the groups do not overlap. */
export interface LayerCoverage {
  readonly layerIndex: number
  readonly meanTokens: number
  readonly fewestTokens: number
  /** Experts without any token, below 5 %, and below 10 % of the mean. */
  readonly uncovered: number
  readonly starving: number
  readonly thin: number
}

/** What a run with a minimum of tokens per expert did to reach it. */
export interface CoverageSearch {
  readonly minTokensPerExpert: number
  /** Samples that were looked at, and those of them that were calibrated on as they came. */
  readonly candidateSamples: number
  readonly initialSamples: number
  /** 0-based places in the data of the samples that were added. */
  readonly addedSamples: readonly number[]
  /** How many samples, drawn in order, would have reached the same. */
  readonly inOrderSamples: number
  /** Experts that have fewer tokens than asked for in all candidates together. */
  readonly outOfReach: readonly {
    readonly layerIndex: number
    readonly expertIndex: number
    readonly tokens: number
  }[]
}

export interface QualityFinding {
  readonly code: string
  readonly subject: string
  readonly message: string
}

export interface ServeCommand {
  readonly engine: 'vllm' | 'sglang' | 'trtllm'
  readonly command: string
}

export interface RunReport {
  readonly displayPath: string
  readonly recipe: string
  readonly profile: string
  readonly sourceBytes: number
  readonly outputBytes: number
  readonly outputFiles: readonly { readonly fileName: string; readonly sizeBytes: number }[]
  readonly tensorCount: number
  readonly quantizedTensorCount: number
  readonly expertCount: number
  readonly calibratedTokens: number
  /** Where the calibration differs from what was asked for, as sentences; absent = nowhere. */
  readonly calibrationNotices?: readonly string[]
  readonly device: string
  readonly workers: number
  readonly uncoveredExperts: readonly UncoveredExpert[]
  /** By layer; absent when nothing was calibrated. */
  readonly coverage?: readonly LayerCoverage[] | undefined
  /** Absent when no minimum of tokens per expert was asked for. */
  readonly coverageSearch?: CoverageSearch | undefined
  /** Non-empty = the run ended with a quality failure (exit code 1), the export is complete nevertheless. */
  readonly findings: readonly QualityFinding[]
  /** What the hardened profile replaced to keep every scale finite and positive; no failure. */
  readonly repairs?: readonly QualityFinding[]
  /** What the quantization cost; undefined when it was not measured. */
  readonly quality?: QualityReport | undefined
  readonly serveCommands: readonly ServeCommand[]
  readonly durationMs: number
  /** They add up to the whole; what is quantized behind the calibrated layers counts as calibration, `export` is the rest. */
  readonly stageDurationsMs: Readonly<Partial<Record<StageName, number>>>
  readonly bytesRead: number
  /** Hidden states written to a scratch file because memory was limited. */
  readonly spilledBytes?: number | undefined
  readonly peakResidentBytes: number
}

export interface JobSnapshot {
  readonly jobId: JobId
  /** Grows with every snapshot of the job. */
  readonly sequence: number
  readonly checkpointName: string
  readonly recipe: string
  readonly state: JobState
  /** 1 = the next to run; undefined for a job that does not wait. */
  readonly queuePosition?: number | undefined
  readonly stages: readonly StageProgress[]
  readonly layerCount: number
  readonly expertCount: number
  /** Layer being calibrated or exported, 0-based; undefined outside the sweep. */
  readonly activeLayer: number | undefined
  readonly elapsedMs: number
  /** From a moving window; undefined while unknown. */
  readonly bytesPerSecond: number | undefined
  readonly etaMs: number | undefined
  /** Tokens routed so far, one row of `expertCount` numbers per layer; undefined for layers not calibrated yet. */
  readonly expertTokens: readonly (readonly number[] | undefined)[]
  /** Largest input magnitude of each expert, in the same form; absent before the first calibrated layer. */
  readonly expertAmax?: readonly (readonly number[] | undefined)[]
  /** Relative error of each quantized expert, in the same form, null without tokens; absent before the first measured layer. */
  readonly expertErrors?: readonly (readonly (number | null)[] | undefined)[]
}

export interface JobLogLine {
  readonly jobId: JobId
  readonly timeMs: number
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
}
