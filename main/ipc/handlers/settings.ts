/** Settings and library: what is kept between starts. */
import type { Library } from '../../user-data/library.ts'
import type { SettingsStore } from '../../user-data/settings.ts'
import type { HandlerTable } from '../handler-table.ts'

type SettingsRoutes = Extract<keyof HandlerTable, `settings.${string}` | `library.${string}`>

export function settingsHandlers(
  settings: SettingsStore,
  library: Library,
): Pick<HandlerTable, SettingsRoutes> {
  return {
    'settings.get': () => settings.get(),
    'settings.update': ({ change }) => {
      settings.setPreferences(withoutUndefined(change))
      return settings.get()
    },
    'settings.set_output_folder': async ({ outputGrantId }) => {
      await settings.setOutputFolder(outputGrantId)
      return settings.get()
    },
    'settings.add_calibration_set': async ({ grantId, name }) => {
      await settings.addCalibrationSet(grantId, name)
      return settings.get()
    },
    'settings.remove_calibration_set': ({ setId }) => {
      settings.removeCalibrationSet(setId)
      return settings.get()
    },
    'library.list': () => library.list(),
    'library.forget': ({ entryId }) => {
      library.forget(entryId)
      return Promise.resolve(undefined)
    },
  }
}

/** A key that is present but undefined would replace what is set. */
function withoutUndefined<T extends object>(change: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept = Object.entries(change).filter(([, value]) => value !== undefined)
  return Object.fromEntries(kept) as { [K in keyof T]?: Exclude<T[K], undefined> }
}
