/**
 * Live state of one job: turns observer calls into snapshots. State changes are published at once, progress at most ten times a second.
 * While layers are calibrated, the time that remains follows from them: what is written behind them comes in bursts.
 */
import {
  STAGE_NAMES,
  transition,
  type JobEvent,
  type JobId,
  type JobLogLine,
  type JobSnapshot,
  type JobState,
  type StageName,
  type StageProgress,
} from '../../../shared/domain/job.ts'
import type { JobObserver } from './job-observer.ts'
import { ProgressRate } from './progress-rate.ts'

const PUBLISH_INTERVAL_MS = 100
const RATE_WINDOW_MS = 10_000
/** Rates are averages over this many layers at least. */
const RATE_LAYERS = 2
const MAX_LOG_LINES = 5_000

export interface JobRecordOptions {
  readonly jobId: JobId
  readonly checkpointName: string
  readonly recipe: string
  readonly publish: (snapshot: JobSnapshot) => void
  readonly publishLog: (line: JobLogLine) => void
}

export class JobRecord implements JobObserver {
  readonly logLines: JobLogLine[] = []
  private readonly options: JobRecordOptions
  private startedMs = performance.now()
  private queuePosition: number | undefined
  /** Time in which it was paused does not count as elapsed. */
  private pausedMs = 0
  private pausedSinceMs: number | undefined
  private readonly stages = new Map<StageName, StageProgress>(
    STAGE_NAMES.map((name) => [name, { name, state: 'waiting', done: 0, total: 0, unit: 'steps' }]),
  )
  private bytes = new ProgressRate({ spanMs: RATE_WINDOW_MS, spanDone: 0 })
  private readonly layers = new ProgressRate({ spanMs: RATE_WINDOW_MS, spanDone: RATE_LAYERS })
  private state: JobState = { kind: 'queued' }
  private sequence = 0
  private layerCount = 0
  private expertCount = 0
  private activeLayer: number | undefined
  private tokens: (readonly number[] | undefined)[] = []
  private amax: (readonly number[] | undefined)[] = []
  private errors: (readonly (number | null)[] | undefined)[] = []
  private lastPublishedMs = 0
  private timer: NodeJS.Timeout | undefined

  constructor(options: JobRecordOptions) {
    this.options = options
  }

  get currentState(): JobState {
    return this.state
  }

  /** 1 = next; undefined once it runs. */
  setQueuePosition(position: number | undefined): void {
    if (this.queuePosition === position) return
    this.queuePosition = position
    this.publishNow()
  }

  /** The time in which it waited does not count as elapsed. */
  begin(): void {
    this.startedMs = performance.now()
  }

  setModel(layerCount: number, expertCount: number): void {
    this.layerCount = layerCount
    this.expertCount = expertCount
    this.tokens = Array.from({ length: layerCount }, () => undefined)
  }

  apply(event: JobEvent): void {
    const next = transition(this.state, event)
    if (next === this.state) return
    if (this.state.kind === 'paused') this.endPause()
    if (next.kind === 'paused') this.beginPause()
    this.state = next
    this.publishNow()
  }

  stageStarted(stage: StageName, total: number, unit: StageProgress['unit']): void {
    this.stages.set(stage, { name: stage, state: 'active', done: 0, total, unit })
    if (stage === 'export') {
      const spanDone = (RATE_LAYERS * total) / Math.max(RATE_LAYERS, this.layerCount)
      this.bytes = new ProgressRate({ spanMs: RATE_WINDOW_MS, spanDone })
    }
    if (stage === 'calibrate') this.layers.clear()
    if (this.state.kind === 'running' && this.state.stage === stage) return
    this.state = transition(this.state, { kind: 'stage_started', stage })
    this.publishNow()
  }

  stageProgress(stage: StageName, done: number, wasDone = false): void {
    const present = this.stages.get(stage)
    if (present === undefined) return
    this.stages.set(stage, { ...present, done: Math.min(done, present.total) })
    const rate = stage === 'export' ? this.bytes : stage === 'calibrate' ? this.layers : undefined
    if (wasDone) rate?.clear()
    rate?.add(performance.now(), done)
    this.publishSoon()
  }

  stageDone(stage: StageName): void {
    const present = this.stages.get(stage)
    if (present !== undefined) this.stages.set(stage, { ...present, state: 'done', done: present.total })
    this.publishNow()
  }

  stageSkipped(stage: StageName): void {
    const present = this.stages.get(stage)
    if (present !== undefined) this.stages.set(stage, { ...present, state: 'skipped' })
    this.publishNow()
  }

  layerActive(layerIndex: number | undefined): void {
    this.activeLayer = layerIndex
  }

  expertTokens(layerIndex: number, tokens: readonly number[]): void {
    this.tokens = this.tokens.map((row, index) => (index === layerIndex ? tokens : row))
    this.publishSoon()
  }

  expertAmax(layerIndex: number, amax: readonly number[]): void {
    this.amax = Array.from({ length: this.layerCount }, (_, index) =>
      index === layerIndex ? amax : this.amax[index],
    )
    this.publishSoon()
  }

  expertErrors(layerIndex: number, errors: readonly (number | null)[]): void {
    this.errors = Array.from({ length: this.layerCount }, (_, index) =>
      index === layerIndex ? errors : this.errors[index],
    )
    this.publishSoon()
  }

  log(level: JobLogLine['level'], message: string): void {
    const line: JobLogLine = { jobId: this.options.jobId, timeMs: Date.now(), level, message }
    if (this.logLines.length < MAX_LOG_LINES) this.logLines.push(line)
    this.options.publishLog(line)
  }

  isCancelled(): boolean {
    return ['pausing', 'paused', 'cancelling', 'cancelled'].includes(this.state.kind)
  }

  snapshot(): JobSnapshot {
    const nowMs = performance.now()
    const bytesPerMs = this.bytes.rate(nowMs)
    return {
      jobId: this.options.jobId,
      sequence: this.sequence,
      checkpointName: this.options.checkpointName,
      recipe: this.options.recipe,
      state: this.state,
      queuePosition: this.queuePosition,
      stages: [...this.stages.values()],
      layerCount: this.layerCount,
      expertCount: this.expertCount,
      activeLayer: this.activeLayer,
      elapsedMs:
        this.state.kind === 'queued'
          ? 0
          : (this.pausedSinceMs ?? performance.now()) - this.startedMs - this.pausedMs,
      bytesPerSecond: bytesPerMs === undefined ? undefined : bytesPerMs * 1000,
      etaMs: this.eta(nowMs),
      expertTokens: this.tokens,
      ...(this.amax.length === 0 ? {} : { expertAmax: this.amax }),
      ...(this.errors.length === 0 ? {} : { expertErrors: this.errors }),
    }
  }

  private beginPause(): void {
    this.pausedSinceMs = performance.now()
    this.bytes.clear()
    this.layers.clear()
    this.activeLayer = undefined
  }

  /** What is done counts again as soon as the stages say so. */
  private endPause(): void {
    if (this.pausedSinceMs !== undefined) this.pausedMs += performance.now() - this.pausedSinceMs
    this.pausedSinceMs = undefined
    for (const [name, stage] of this.stages) this.stages.set(name, { ...stage, state: 'waiting', done: 0 })
  }

  private eta(nowMs: number): number | undefined {
    const calibrate = this.stages.get('calibrate')
    if (calibrate?.state === 'active') return this.layers.remaining(nowMs, calibrate.total)
    const exporting = this.stages.get('export')
    return exporting?.state === 'active' ? this.bytes.remaining(nowMs, exporting.total) : undefined
  }

  private publishSoon(): void {
    if (this.timer !== undefined) return
    const waitMs = Math.max(0, PUBLISH_INTERVAL_MS - (performance.now() - this.lastPublishedMs))
    this.timer = setTimeout(() => {
      this.publishNow()
    }, waitMs)
  }

  private publishNow(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.lastPublishedMs = performance.now()
    this.sequence += 1
    this.options.publish(this.snapshot())
  }
}
