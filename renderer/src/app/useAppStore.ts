/** What belongs to the window as a whole: surroundings, the view in front, one notice. */
import { defineStore } from 'pinia'
import { computed, ref, shallowRef } from 'vue'
import type { AppInfo, DeviceInfo } from '../../../shared/domain/app-info.ts'
import { AppError, type SerialisedError } from '../../../shared/errors/app-error.ts'
import { request } from '../bridge/api.ts'
import type { View } from './steps.ts'

export type InfoState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly info: AppInfo }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export type Notice =
  | { readonly kind: 'error'; readonly error: SerialisedError }
  | { readonly kind: 'hint'; readonly message: string }

/** Dialogs of the window itself. */
export type AppDialog = 'palette' | 'shortcuts'

export const useAppStore = defineStore('app', () => {
  const info = shallowRef<InfoState>({ kind: 'loading' })
  /** undefined until the engine host has answered, which it does after the window is there. */
  const devices = shallowRef<readonly DeviceInfo[]>()
  const view = ref<View>('checkpoint')
  const notice = shallowRef<Notice>()
  const dialog = ref<AppDialog>()
  const hasSingleKeys = ref(true)
  const known = computed(() => (info.value.kind === 'ready' ? info.value.info : undefined))

  async function load(): Promise<void> {
    info.value = { kind: 'loading' }
    try {
      info.value = { kind: 'ready', info: await request('app.get_info', {}) }
    } catch (error: unknown) {
      info.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  /** Never fails: a host that does not start answers with devices that are not available. */
  async function loadDevices(): Promise<void> {
    devices.value = await request('app.list_devices', {}).catch(() => [])
  }

  function report(error: unknown): void {
    notice.value = { kind: 'error', error: AppError.from(error).serialise() }
  }

  return { info, known, devices, view, notice, dialog, hasSingleKeys, load, loadDevices, report }
})
