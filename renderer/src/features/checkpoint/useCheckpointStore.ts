/** The opened checkpoint. An older answer never replaces a newer one. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { PathGrant } from '../../../../shared/domain/app-info.ts'
import type { CheckpointSummary } from '../../../../shared/domain/checkpoint-summary.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'

export type CheckpointState =
  | { readonly kind: 'empty' }
  | { readonly kind: 'opening'; readonly grant: PathGrant }
  | { readonly kind: 'open'; readonly grant: PathGrant; readonly summary: CheckpointSummary }
  | { readonly kind: 'failed'; readonly grant: PathGrant; readonly error: SerialisedError }

export const useCheckpointStore = defineStore('checkpoint', () => {
  const state = shallowRef<CheckpointState>({ kind: 'empty' })
  const opened = computed(() => (state.value.kind === 'open' ? state.value : undefined))

  const failure = computed(() => (state.value.kind === 'failed' ? state.value.error : undefined))

  /** The opened checkpoint, or undefined when it could not be opened or another was asked for meanwhile. */
  async function open(grant: PathGrant): Promise<CheckpointSummary | undefined> {
    const opening: CheckpointState = { kind: 'opening', grant }
    state.value = opening
    try {
      const summary = await request('checkpoint.open', { grantId: grant.grantId })
      if (state.value !== opening) return undefined
      state.value = { kind: 'open', grant, summary }
      return summary
    } catch (error: unknown) {
      if (state.value === opening) {
        state.value = { kind: 'failed', grant, error: AppError.from(error).serialise() }
      }
      return undefined
    }
  }

  function close(): void {
    state.value = { kind: 'empty' }
  }

  return { state, opened, failure, open, close }
})
