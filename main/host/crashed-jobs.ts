/** What main remembers of the host's jobs, so that a crash of the host loses no job without a word. */
import {
  isFinished,
  transition,
  type JobId,
  type JobLogLine,
  type JobSnapshot,
} from '../../shared/domain/job.ts'
import type { AppError } from '../../shared/errors/app-error.ts'
import type { HostEvents } from './host-api.ts'

/** Per job; a run writes a few dozen. */
const MAX_LOG_LINES = 2_000

interface Followed {
  snapshot: JobSnapshot
  readonly log: JobLogLine[]
}

export class CrashedJobs {
  readonly #running = new Map<JobId, Followed>()
  readonly #crashed = new Map<JobId, Followed>()

  get runningCount(): number {
    return this.#running.size
  }

  observe<E extends keyof HostEvents>(event: E, payload: HostEvents[E]): void
  observe(event: keyof HostEvents, payload: JobSnapshot | JobLogLine): void {
    const followed = this.#running.get(payload.jobId)
    if (event === 'job.log' && 'message' in payload) {
      if (followed !== undefined && followed.log.length < MAX_LOG_LINES) followed.log.push(payload)
      return
    }
    if (!('state' in payload)) return
    if (isFinished(payload.state)) this.#running.delete(payload.jobId)
    else if (followed === undefined) this.#running.set(payload.jobId, { snapshot: payload, log: [] })
    else followed.snapshot = payload
  }

  /** Every running job becomes failed with this error; returns their last snapshots. */
  fail(error: AppError): readonly JobSnapshot[] {
    const failed = [...this.#running.values()]
    this.#running.clear()
    for (const followed of failed) {
      const { snapshot } = followed
      followed.snapshot = {
        ...snapshot,
        sequence: snapshot.sequence + 1,
        state: transition(snapshot.state, { kind: 'failed', error: error.serialise() }),
        activeLayer: undefined,
        bytesPerSecond: undefined,
        etaMs: undefined,
      }
      this.#crashed.set(snapshot.jobId, followed)
    }
    return failed.map(({ snapshot }) => snapshot)
  }

  crashed(jobId: JobId): JobSnapshot | undefined {
    return this.#crashed.get(jobId)?.snapshot
  }

  crashedLog(jobId: JobId): readonly JobLogLine[] | undefined {
    return this.#crashed.get(jobId)?.log
  }

  allCrashed(): readonly JobSnapshot[] {
    return [...this.#crashed.values()].map(({ snapshot }) => snapshot)
  }
}
