/** Settings between their store and what follows them: theme, numbers, keys, and the defaults of new runs. */
import { watch } from 'vue'
import type { CalibrationSetId, Preferences } from '../../../shared/domain/settings.ts'
import { useRecipeStore } from '../features/recipe/useRecipeStore.ts'
import { setNameOf } from '../features/settings/preference-values.ts'
import { useSettingsStore } from '../features/settings/useSettingsStore.ts'
import type { FlowParts } from './library-flow.ts'
import { setNumberLocale } from './number-locale.ts'
import { useAppStore } from './useAppStore.ts'
import { useThemeStore } from './useThemeStore.ts'

export interface SettingsFlow {
  setPreferences(change: Partial<Preferences>): Promise<void>
  pickOutputFolder(): Promise<void>
  resetOutputFolder(): Promise<void>
  addCalibrationSet(): Promise<void>
  removeCalibrationSet(setId: CalibrationSetId): Promise<void>
}

export function settingsFlow({ guarded, pick }: Pick<FlowParts, 'guarded' | 'pick'>): SettingsFlow {
  const app = useAppStore()
  const themes = useThemeStore()
  const settings = useSettingsStore()
  const recipe = useRecipeStore()

  watch(
    () => settings.known,
    (known) => {
      if (known === undefined) return
      const { theme, numberLocale, hasSingleKeys, device, workers, memoryLimitBytes } = known.preferences
      themes.choose(theme)
      setNumberLocale(numberLocale)
      app.hasSingleKeys = hasSingleKeys
      recipe.calibrationSets = known.calibrationSets
      recipe.setDefaults({ device, workers, memoryLimitBytes, outputGrant: known.outputFolder?.grant })
    },
    // The first picture after the answer has the right theme and numbers.
    { flush: 'sync' },
  )

  return {
    setPreferences: (change) =>
      guarded(async () => {
        // At once, and also where it cannot be kept.
        if (change.theme !== undefined) themes.choose(change.theme)
        await settings.setPreferences(change)
      }),
    pickOutputFolder: () =>
      guarded(async () => {
        const grant = await pick('output')
        if (grant !== undefined) await settings.setOutputFolder(grant.grantId)
      }),
    resetOutputFolder: () => guarded(() => settings.setOutputFolder(undefined)),
    addCalibrationSet: () =>
      guarded(async () => {
        const grant = await pick('calibration')
        if (grant !== undefined) await settings.addCalibrationSet(grant.grantId, setNameOf(grant.name))
      }),
    removeCalibrationSet: (setId) => guarded(() => settings.removeCalibrationSet(setId)),
  }
}
