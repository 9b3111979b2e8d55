/** The checks of a host: each runs by itself, tells its progress ten times a second at most, can be cancelled, and keeps its result. */
import { randomUUID } from 'node:crypto'
import type { CheckId, CheckResult, CheckSnapshot, CheckState } from '../../../shared/domain/check.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HostCheckRequest } from '../host-api.ts'
import { runCheck, type CheckControl } from './run-check.ts'

const PUBLISH_INTERVAL_MS = 100
/** Results kept; a comparison of the largest models is about a megabyte. */
const MAX_FINISHED = 16

interface Check {
  snapshot: CheckSnapshot
  result: CheckResult | undefined
  isCancelled: boolean
  readonly done: Promise<void>
}

export class Checks {
  readonly #byId = new Map<CheckId, Check>()
  readonly #publish: (snapshot: CheckSnapshot) => void
  readonly #environment: CheckControl['environment']

  constructor(publish: (snapshot: CheckSnapshot) => void, environment?: CheckControl['environment']) {
    this.#publish = publish
    this.#environment = environment
  }

  start(request: HostCheckRequest): CheckId {
    this.#forgetOldest()
    const checkId = `v_${randomUUID()}` as CheckId
    let lastMs = 0
    const first: CheckSnapshot = { checkId, state: { kind: 'running' }, doneBytes: 0, totalBytes: 0 }
    const run = async (): Promise<void> => {
      await Promise.resolve() // `check` exists from here on
      const end = (state: CheckState): void => {
        check.snapshot = { ...check.snapshot, state }
        this.#publish(check.snapshot)
      }
      try {
        check.result = await runCheck(request, {
          environment: this.#environment,
          isCancelled: () => check.isCancelled,
          progress: (doneBytes, totalBytes) => {
            check.snapshot = { ...check.snapshot, doneBytes: Math.min(doneBytes, totalBytes), totalBytes }
            if (performance.now() - lastMs < PUBLISH_INTERVAL_MS) return
            lastMs = performance.now()
            this.#publish(check.snapshot)
          },
        })
        end({ kind: 'succeeded' })
      } catch (thrown: unknown) {
        const error = AppError.from(thrown)
        end(error.kind === 'cancelled' ? { kind: 'cancelled' } : { kind: 'failed', error: error.serialise() })
      }
    }
    const check: Check = { snapshot: first, result: undefined, isCancelled: false, done: run() }
    this.#byId.set(checkId, check)
    return checkId
  }

  /** Throws CHECK_UNKNOWN, as the others do. */
  cancel(checkId: CheckId): void {
    this.#find(checkId).isCancelled = true
  }

  snapshot(checkId: CheckId): CheckSnapshot {
    return this.#find(checkId).snapshot
  }

  result(checkId: CheckId): CheckResult {
    const { result } = this.#find(checkId)
    if (result === undefined) throw unknown(checkId, 'it has not succeeded')
    return result
  }

  async stop(): Promise<void> {
    for (const check of this.#byId.values()) check.isCancelled = true
    await Promise.all([...this.#byId.values()].map(({ done }) => done))
  }

  #find(checkId: CheckId): Check {
    const check = this.#byId.get(checkId)
    if (check === undefined) throw unknown(checkId, 'there is no such check')
    return check
  }

  #forgetOldest(): void {
    const finished = [...this.#byId].filter(([, { snapshot }]) => snapshot.state.kind !== 'running')
    for (const [checkId] of finished.slice(0, Math.max(0, finished.length - MAX_FINISHED + 1))) {
      this.#byId.delete(checkId)
    }
  }
}

function unknown(subject: string, problem: string): AppError {
  return new AppError('CHECK_UNKNOWN', { subject, problem, remedy: 'start it again' })
}
