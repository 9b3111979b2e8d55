/**
 * What a closed lid means for runs: those that are running are paused before the machine sleeps, because a driver may lose its device there, and
 * the same ones continue when it wakes. A run that its user paused stays paused.
 */
import type { HostApi } from '../host/host-api.ts'
import type { JobId } from '../../shared/domain/job.ts'

export class SuspendGuard {
  readonly #host: Pick<HostApi, 'job.list' | 'job.pause' | 'job.continue'>
  readonly #paused = new Set<JobId>()
  /** One after the other: a lid is opened as quickly as it is closed. */
  #last: Promise<void> = Promise.resolve()

  constructor(host: Pick<HostApi, 'job.list' | 'job.pause' | 'job.continue'>) {
    this.#host = host
  }

  /** Resolves when every running job was asked to pause. */
  suspend(): Promise<void> {
    return this.#next(async () => {
      for (const { jobId, state } of await this.#host['job.list']({})) {
        if (state.kind !== 'running') continue
        this.#paused.add(jobId)
        await this.#host['job.pause']({ jobId })
      }
    })
  }

  resume(): Promise<void> {
    return this.#next(async () => {
      const jobIds = [...this.#paused]
      this.#paused.clear()
      for (const jobId of jobIds) await this.#host['job.continue']({ jobId })
    })
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => undefined)
    return done
  }
}
