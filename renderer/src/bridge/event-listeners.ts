/** Listeners by event name, typed from the contract. */
import type { AppEvents, EventName } from '../../../shared/contract/routes.ts'

type ListenerSets = { readonly [E in EventName]: Set<(payload: AppEvents[E]) => void> }

export class EventListeners {
  readonly #sets: ListenerSets = {
    'job.snapshot': new Set(),
    'job.log': new Set(),
    'check.snapshot': new Set(),
    'grant.dropped': new Set(),
    'app.command': new Set(),
  }

  static readonly names: readonly EventName[] = [
    'job.snapshot',
    'job.log',
    'check.snapshot',
    'grant.dropped',
    'app.command',
  ]

  add<E extends EventName>(event: E, listener: (payload: AppEvents[E]) => void): () => void {
    const set: Set<(payload: AppEvents[E]) => void> = this.#sets[event]
    set.add(listener)
    return () => {
      set.delete(listener)
    }
  }

  emit<E extends EventName>(event: E, payload: AppEvents[E]): void {
    for (const listener of this.#sets[event]) listener(payload)
  }
}
