import type { HandlerTable } from '../handler-table.ts'
import type { Surface } from '../surface.ts'
import { appHandlers } from './app.ts'
import { checkHandlers } from './checks.ts'
import { checkpointHandlers } from './checkpoints.ts'
import { grantHandlers } from './grants.ts'
import { OutputPaths } from '../output-paths.ts'
import { jobHandlers } from './jobs.ts'
import { partialHandlers } from './partials.ts'
import { settingsHandlers } from './settings.ts'
import { Library } from '../../user-data/library.ts'
import { SettingsStore } from '../../user-data/settings.ts'
import { UserData } from '../../user-data/user-data.ts'

/** The complete table for one surface. */
export function createHandlers(surface: Surface): HandlerTable {
  const userData = surface.userData ?? new UserData()
  const { grants, sampleFolder } = surface
  const library = new Library({ userData, grants, sampleFolder })
  const outputs = new OutputPaths(library)
  return {
    ...appHandlers(surface),
    ...grantHandlers(surface),
    ...checkpointHandlers(surface, library),
    ...jobHandlers(surface, outputs),
    ...partialHandlers(surface, outputs),
    ...checkHandlers(surface, outputs),
    ...settingsHandlers(new SettingsStore(userData, grants), library),
  }
}
