/** The folder dialog of surfaces without system dialogs. `pick` opens it and resolves when the user has decided. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { FolderListing, GrantPurpose, PathGrant } from '../../../../shared/domain/app-info.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'

export type FolderState =
  | { readonly kind: 'closed' }
  | { readonly kind: 'loading'; readonly purpose: GrantPurpose; readonly previous: FolderListing | undefined }
  | {
      readonly kind: 'open'
      readonly purpose: GrantPurpose
      readonly listing: FolderListing
      /** A refused choice; the list stays usable. */
      readonly error?: SerialisedError
    }
  | { readonly kind: 'failed'; readonly purpose: GrantPurpose; readonly error: SerialisedError }

export const useFolderStore = defineStore('folders', () => {
  const state = shallowRef<FolderState>({ kind: 'closed' })
  /** Where the last visit ended, so that the next begins there. */
  let lastEntryId: string | undefined
  const currentEntryId = ref<string>()
  /** The list of places, which is no folder itself. */
  const isAtPlaces = computed(() => currentEntryId.value === undefined)
  let settle: ((grant: PathGrant | undefined) => void) | undefined

  async function pick(purpose: GrantPurpose): Promise<PathGrant | undefined> {
    close()
    const decided = new Promise<PathGrant | undefined>((resolve) => {
      settle = resolve
    })
    state.value = { kind: 'loading', purpose, previous: undefined }
    await visit(lastEntryId)
    return decided
  }

  /** Shows a folder; undefined shows the places where one can begin. */
  async function visit(entryId: string | undefined): Promise<void> {
    if (state.value.kind === 'closed') return
    const { purpose } = state.value
    const previous = state.value.kind === 'open' ? state.value.listing : undefined
    const loading: FolderState = { kind: 'loading', purpose, previous }
    state.value = loading
    try {
      const listing = await request('folder.list', entryId === undefined ? {} : { entryId })
      if (state.value !== loading) return
      currentEntryId.value = entryId
      lastEntryId = entryId
      state.value = { kind: 'open', purpose, listing }
    } catch (error: unknown) {
      if (state.value !== loading) return
      lastEntryId = undefined
      state.value = { kind: 'failed', purpose, error: AppError.from(error).serialise() }
    }
  }

  /** Grants an entry, or the shown folder when `entryId` is undefined. */
  async function choose(entryId: string | undefined): Promise<void> {
    const present = state.value
    const chosen = entryId ?? currentEntryId.value
    if (present.kind !== 'open' || chosen === undefined) return
    try {
      finish(await request('folder.grant', { entryId: chosen, purpose: present.purpose }))
    } catch (error: unknown) {
      if (state.value.kind === 'open') state.value = { ...present, error: AppError.from(error).serialise() }
    }
  }

  function close(): void {
    finish(undefined)
  }

  function finish(grant: PathGrant | undefined): void {
    state.value = { kind: 'closed' }
    settle?.(grant)
    settle = undefined
  }

  return { state, pick, visit, choose, close, isAtPlaces }
})
