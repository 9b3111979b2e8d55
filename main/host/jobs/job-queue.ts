/**
 * Who may run when. One run has the whole machine: two would share its memory bandwidth and disk, and both plans of memory would be wrong.
 * The others wait in the order in which they came. A paused run keeps its place, because whoever pauses wants the machine for something else.
 */
import type { JobRecord } from './job-record.ts'

interface Place {
  readonly record: JobRecord
  readonly admit: () => void
  isAdmitted: boolean
}

export class JobQueue {
  readonly #atOnce: number
  #places: Place[] = []

  /** @param atOnce how many may run side by side; 1 by default */
  constructor(atOnce = 1) {
    this.#atOnce = atOnce
  }

  /** undefined when the job may run now, else a promise of its turn. It never rejects; a job that leaves first is never admitted. */
  enter(record: JobRecord): Promise<void> | undefined {
    const isAdmitted = this.#admittedCount() < this.#atOnce
    let admit = (): void => undefined
    const turn = new Promise<void>((resolve) => {
      admit = resolve
    })
    this.#places.push({ record, admit, isAdmitted })
    if (isAdmitted) return undefined
    this.#number()
    return turn
  }

  /** When nothing of the job runs any more, whether it had its turn or not. */
  leave(record: JobRecord): void {
    this.#places = this.#places.filter((place) => place.record !== record)
    for (const place of this.#places) {
      if (place.isAdmitted || this.#admittedCount() >= this.#atOnce) continue
      place.isAdmitted = true
      place.record.setQueuePosition(undefined)
      place.admit()
    }
    this.#number()
  }

  #admittedCount(): number {
    return this.#places.filter(({ isAdmitted }) => isAdmitted).length
  }

  #number(): void {
    const waiting = this.#places.filter(({ isAdmitted }) => !isAdmitted)
    for (const [index, { record }] of waiting.entries()) record.setQueuePosition(index + 1)
  }
}
