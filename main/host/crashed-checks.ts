/** What main remembers of the host's checks, so that whoever waits for one hears of a crash. */
import type { CheckId, CheckSnapshot } from '../../shared/domain/check.ts'
import type { AppError } from '../../shared/errors/app-error.ts'

export class CrashedChecks {
  readonly #running = new Map<CheckId, CheckSnapshot>()

  observe(snapshot: CheckSnapshot): void {
    if (snapshot.state.kind === 'running') this.#running.set(snapshot.checkId, snapshot)
    else this.#running.delete(snapshot.checkId)
  }

  /** Every running check becomes failed with this error; returns their last snapshots. */
  fail(error: AppError): readonly CheckSnapshot[] {
    const running = [...this.#running.values()]
    this.#running.clear()
    return running.map((snapshot) => ({ ...snapshot, state: { kind: 'failed', error: error.serialise() } }))
  }
}
