/**
 * What a run does to the desktop: a bar on the taskbar or dock, no sleep while something runs, and a notification when the last run ends while
 * nobody looks. Follows the snapshots of all jobs; the desktop itself comes as an argument.
 */
import { isFinished, STAGE_NAMES, type JobId, type JobSnapshot } from '../../shared/domain/job.ts'

export interface Desktop {
  /** 0 to 1; -1 removes the bar, above 1 means working without a known end. */
  setProgress(share: number, mode: 'normal' | 'paused'): void
  /** Keeps the machine from sleeping; returns how to allow it again. */
  preventSleep(): () => void
  isWindowFocused(): boolean
  notify(title: string, body: string): void
}

const NO_BAR = -1
const UNKNOWN_SHARE = 2
/** A taskbar redraws slowly; finer steps would only cost. */
const STEPS = 100

export class RunPresence {
  readonly #desktop: Desktop
  readonly #running = new Map<JobId, JobSnapshot>()
  /** Jobs whose end was told: a late snapshot must not tell it again. */
  readonly #ended = new Set<JobId>()
  #allowSleep: (() => void) | undefined
  #shown = ''

  constructor(desktop: Desktop) {
    this.#desktop = desktop
  }

  observe(snapshot: JobSnapshot): void {
    if (this.#ended.has(snapshot.jobId)) return
    if (isFinished(snapshot.state)) {
      this.#ended.add(snapshot.jobId)
      this.#running.delete(snapshot.jobId)
      this.#tellEnd(snapshot)
    } else {
      this.#running.set(snapshot.jobId, snapshot)
    }
    this.#followSleep()
    this.#followBar()
  }

  #followSleep(): void {
    const isWorking = [...this.#running.values()].some(
      ({ state }) => state.kind !== 'paused' && state.kind !== 'queued',
    )
    if (isWorking) this.#allowSleep ??= this.#desktop.preventSleep()
    else {
      this.#allowSleep?.()
      this.#allowSleep = undefined
    }
  }

  #followBar(): void {
    const job = [...this.#running.values()].find(({ state }) => state.kind !== 'queued')
    if (job === undefined) this.#setBar(NO_BAR, 'normal')
    else this.#setBar(shareOf(job), job.state.kind === 'paused' ? 'paused' : 'normal')
  }

  #tellEnd({ state, checkpointName, recipe }: JobSnapshot): void {
    if (state.kind === 'cancelled' || this.#desktop.isWindowFocused()) return
    const what = `${checkpointName}, ${recipe}`
    if (state.kind === 'failed') this.#desktop.notify('The run failed', `${what}: ${state.error.problem}`)
    else this.#desktop.notify('The export is finished', what)
  }

  #setBar(share: number, mode: 'normal' | 'paused'): void {
    const step = share < 0 || share > 1 ? share : Math.floor(share * STEPS) / STEPS
    const shown = `${String(step)} ${mode}`
    if (shown === this.#shown) return
    this.#shown = shown
    this.#desktop.setProgress(step, mode)
  }
}

/** Of the stage under way, where it is known: the bar fills once for each long stage, as the view's bars do. */
function shareOf({ state, stages }: JobSnapshot): number {
  if (!('stage' in state)) return UNKNOWN_SHARE
  const stage = stages.find(({ name }) => name === state.stage)
  const isLong = state.stage === 'calibrate' || state.stage === 'export'
  if (stage === undefined || !isLong || stage.total === 0) {
    return STAGE_NAMES.indexOf(state.stage) > STAGE_NAMES.indexOf('export') ? 1 : UNKNOWN_SHARE
  }
  return Math.min(1, stage.done / stage.total)
}
