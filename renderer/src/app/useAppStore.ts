/** What belongs to the window as a whole: surroundings, the view in front, one notice. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { AppInfo } from '../../../shared/domain/app-info.ts'
import { AppError, type SerialisedError } from '../../../shared/errors/app-error.ts'
import { request } from '../bridge/api.ts'
import type { Step } from './steps.ts'

export type InfoState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly info: AppInfo }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export type Notice =
  | { readonly kind: 'error'; readonly error: SerialisedError }
  | { readonly kind: 'hint'; readonly message: string }

const SINGLE_KEYS_STORAGE = 'quantmill.single-keys'

export const useAppStore = defineStore('app', () => {
  const info = shallowRef<InfoState>({ kind: 'loading' })
  const step = ref<Step>('checkpoint')
  const notice = shallowRef<Notice>()
  const isShortcutsOpen = ref(false)
  const hasSingleKeys = ref(localStorage.getItem(SINGLE_KEYS_STORAGE) !== 'off')
  const known = computed(() => (info.value.kind === 'ready' ? info.value.info : undefined))

  async function load(): Promise<void> {
    info.value = { kind: 'loading' }
    try {
      info.value = { kind: 'ready', info: await request('app.get_info', {}) }
    } catch (error: unknown) {
      info.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  function report(error: unknown): void {
    notice.value = { kind: 'error', error: AppError.from(error).serialise() }
  }

  function setSingleKeys(isOn: boolean): void {
    hasSingleKeys.value = isOn
    localStorage.setItem(SINGLE_KEYS_STORAGE, isOn ? 'on' : 'off')
  }

  return { info, known, step, notice, isShortcutsOpen, hasSingleKeys, load, report, setSingleKeys }
})
