/** State of one check at a time, for a view. A new one cancels the one before. */
import { onScopeDispose, shallowRef, type ShallowRef } from 'vue'
import type { RouteInput } from '../../../shared/contract/schemas.ts'
import type { CheckResult } from '../../../shared/domain/check.ts'
import { AppError, type SerialisedError } from '../../../shared/errors/app-error.ts'
import { followCheck, type FollowedCheck } from '../bridge/follow-check.ts'

export type CheckView =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'failed'; readonly error: SerialisedError }
  | { readonly kind: 'done'; readonly result: CheckResult }

export interface UsedCheck {
  readonly state: ShallowRef<CheckView>
  /** The result, or undefined when it failed, was cancelled or another was started. */
  readonly start: (input: RouteInput<'check.start'>) => Promise<CheckResult | undefined>
  readonly cancel: () => void
  readonly reset: () => void
}

export function useCheck(): UsedCheck {
  const state = shallowRef<CheckView>({ kind: 'idle' })
  let current: FollowedCheck | undefined

  async function start(input: RouteInput<'check.start'>): Promise<CheckResult | undefined> {
    current?.cancel()
    state.value = { kind: 'running', doneBytes: 0, totalBytes: 0 }
    const mine = followCheck(input, (doneBytes, totalBytes) => {
      if (current === mine) state.value = { kind: 'running', doneBytes, totalBytes }
    })
    current = mine
    try {
      const result = await mine.result
      if (current !== mine) return undefined
      state.value = { kind: 'done', result }
      return result
    } catch (thrown: unknown) {
      if (current !== mine) return undefined
      const error = AppError.from(thrown)
      state.value =
        error.kind === 'cancelled' ? { kind: 'idle' } : { kind: 'failed', error: error.serialise() }
      return undefined
    }
  }

  function cancel(): void {
    current?.cancel()
  }

  function reset(): void {
    cancel()
    current = undefined
    state.value = { kind: 'idle' }
  }

  onScopeDispose(cancel)
  return { state, start, cancel, reset }
}
