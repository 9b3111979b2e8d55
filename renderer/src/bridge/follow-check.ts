/** A check of the host from its start to its result, whichever way its events come. */
import type { RouteInput } from '../../../shared/contract/schemas.ts'
import type { CheckId, CheckResult, CheckSnapshot } from '../../../shared/domain/check.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { onEvent, request } from './api.ts'

export interface FollowedCheck {
  /** Rejects with the check's AppError; CANCELLED when it was cancelled. */
  readonly result: Promise<CheckResult>
  cancel(): void
}

export function followCheck(
  input: RouteInput<'check.start'>,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): FollowedCheck {
  let checkId: CheckId | undefined
  let isCancelled = false
  const cancel = (): void => {
    isCancelled = true
    if (checkId !== undefined) void request('check.cancel', { checkId }).catch(() => undefined) // it has ended
  }
  const run = async (): Promise<CheckResult> => {
    const early: CheckSnapshot[] = []
    let receive = (snapshot: CheckSnapshot): void => void early.push(snapshot)
    const stop = onEvent('check.snapshot', (snapshot) => {
      receive(snapshot)
    })
    try {
      const started = await request('check.start', input)
      checkId = started.checkId
      await new Promise<void>((resolve, reject) => {
        receive = (snapshot) => {
          if (snapshot.checkId !== started.checkId) return
          const { state, doneBytes, totalBytes } = snapshot
          if (state.kind === 'running') onProgress(doneBytes, totalBytes)
          else if (state.kind === 'succeeded') resolve()
          else reject(state.kind === 'failed' ? AppError.revive(state.error) : cancelled())
        }
        early.forEach(receive)
        if (isCancelled) cancel()
        // Events of a stream that was not open yet are gone.
        request('check.get', { checkId: started.checkId }).then(receive, reject)
      })
      return await request('check.result', { checkId: started.checkId })
    } finally {
      stop()
    }
  }
  return { result: run(), cancel }
}

function cancelled(): AppError {
  return new AppError('CANCELLED', {
    subject: 'check',
    problem: 'it was cancelled',
    remedy: 'start it again',
  })
}
