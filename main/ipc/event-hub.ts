/** Where events of the host and of the surface meet their listeners (windows, open event streams). One per process, passed as a value. */
import type { AppEvents, EventName } from '../../shared/contract/routes.ts'
import type { CheckSnapshot } from '../../shared/domain/check.ts'
import type { JobLogLine, JobSnapshot } from '../../shared/domain/job.ts'
import type { HostEvents } from '../host/host-api.ts'
import { withoutStack } from './without-stack.ts'

export type EventListener = <E extends EventName>(event: E, payload: AppEvents[E]) => void

export class EventHub {
  readonly #listeners = new Set<EventListener>()

  /** Bound, so that it can be handed over as a value. */
  readonly emit: EventListener = (event, payload) => {
    for (const listener of this.#listeners) listener(event, payload)
  }

  /** For events of the host. Stacks stay behind: they name files of the installation. */
  emitFromHost<E extends keyof HostEvents>(event: E, payload: HostEvents[E]): void
  emitFromHost(_event: keyof HostEvents, payload: JobSnapshot | JobLogLine | CheckSnapshot): void {
    if ('checkId' in payload) this.emit('check.snapshot', withoutStack(payload))
    else if ('state' in payload) this.emit('job.snapshot', withoutStack(payload))
    else this.emit('job.log', payload)
  }

  /** Returns a function that stops listening. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }
}
