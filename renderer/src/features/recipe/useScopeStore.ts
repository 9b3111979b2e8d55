/** What the recipe's patterns do to the open checkpoint; asked for only while somebody looks. */
import { defineStore } from 'pinia'
import { shallowRef } from 'vue'
import type { RouteInput } from '../../../../shared/contract/schemas.ts'
import type { RecipeScope } from '../../../../shared/domain/recipe-scope.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'

export type ScopeState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly scope: RecipeScope }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export const useScopeStore = defineStore('scope', () => {
  const state = shallowRef<ScopeState>({ kind: 'loading' })
  let generation = 0

  /** What is shown stays until the new scope is there; only the newest answer is shown. */
  async function load(input: RouteInput<'plan.scope'>): Promise<void> {
    generation += 1
    const mine = generation
    try {
      const scope = await request('plan.scope', input)
      if (mine === generation) state.value = { kind: 'ready', scope }
    } catch (error: unknown) {
      if (mine === generation) state.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  return { state, load }
})
