/** Recent checkpoints and exports, and unfinished runs, as the surface knows them. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { LibraryEntry, LibraryEntryId } from '../../../../shared/domain/library.ts'
import type { PartialId, PartialRun } from '../../../../shared/domain/partial-run.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'

export type LibraryState =
  | { readonly kind: 'loading' }
  | {
      readonly kind: 'ready'
      readonly entries: readonly LibraryEntry[]
      readonly partials: readonly PartialRun[]
    }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export const useLibraryStore = defineStore('library', () => {
  const state = shallowRef<LibraryState>({ kind: 'loading' })
  const ready = computed(() => (state.value.kind === 'ready' ? state.value : undefined))
  /** Most recently used first. */
  const openable = computed(() => (ready.value?.entries ?? []).filter(({ grant }) => grant !== undefined))
  const grants = computed(() => openable.value.flatMap(({ grant }) => (grant === undefined ? [] : [grant])))
  /** Checkpoints that exports may have been made from. */
  const sources = computed(() =>
    openable.value.flatMap(({ kind, grant }) =>
      kind === 'checkpoint' && grant !== undefined ? [grant] : [],
    ),
  )
  const isEmpty = computed(
    () => ready.value !== undefined && ready.value.entries.length + ready.value.partials.length === 0,
  )
  let generation = 0

  /** What is shown stays until the new list is there. */
  async function load(): Promise<void> {
    generation += 1
    const mine = generation
    try {
      // The library first: it grants what unfinished runs read.
      const entries = await request('library.list', {})
      const partials = await request('job.partials', {})
      if (mine === generation) state.value = { kind: 'ready', entries, partials }
    } catch (error: unknown) {
      if (mine === generation) state.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  /** Throws what the surface answers. */
  async function forget(entryId: LibraryEntryId): Promise<void> {
    await request('library.forget', { entryId })
    await load()
  }

  /** Deletes the partial folder. Throws what the surface answers. */
  async function removePartial(partialId: PartialId): Promise<void> {
    await request('job.remove_partial', { partialId })
    await load()
  }

  return { state, openable, grants, sources, isEmpty, load, forget, removePartial }
})
