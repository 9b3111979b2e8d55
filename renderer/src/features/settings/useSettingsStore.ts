/** The settings as the surface keeps them. Every change goes there and comes back whole. */
import { defineStore } from 'pinia'
import { computed, shallowRef } from 'vue'
import type { GrantId } from '../../../../shared/domain/app-info.ts'
import type { CalibrationSetId, Preferences, Settings } from '../../../../shared/domain/settings.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'

export type SettingsState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly settings: Settings }
  | { readonly kind: 'failed'; readonly error: SerialisedError }

export const useSettingsStore = defineStore('settings', () => {
  const state = shallowRef<SettingsState>({ kind: 'loading' })
  const known = computed(() => (state.value.kind === 'ready' ? state.value.settings : undefined))

  async function load(): Promise<void> {
    try {
      state.value = { kind: 'ready', settings: await request('settings.get', {}) }
    } catch (error: unknown) {
      state.value = { kind: 'failed', error: AppError.from(error).serialise() }
    }
  }

  /** All changes throw what the surface answers; what is shown is then as before. */
  async function take(change: Promise<Settings>): Promise<void> {
    state.value = { kind: 'ready', settings: await change }
  }

  return {
    state,
    known,
    load,
    setPreferences: (change: Partial<Preferences>) => take(request('settings.update', { change })),
    setOutputFolder: (outputGrantId: GrantId | undefined) =>
      take(request('settings.set_output_folder', { outputGrantId })),
    addCalibrationSet: (grantId: GrantId, name: string) =>
      take(request('settings.add_calibration_set', { grantId, name })),
    removeCalibrationSet: (setId: CalibrationSetId) =>
      take(request('settings.remove_calibration_set', { setId })),
  }
})
