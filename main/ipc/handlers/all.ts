import type { HandlerTable } from '../handler-table.ts'
import type { Surface } from '../surface.ts'
import { appHandlers } from './app.ts'
import { checkpointHandlers } from './checkpoints.ts'
import { grantHandlers } from './grants.ts'
import { OutputPaths } from '../output-paths.ts'
import { jobHandlers } from './jobs.ts'
import { partialHandlers } from './partials.ts'

/** The complete table for one surface. */
export function createHandlers(surface: Surface): HandlerTable {
  const outputs = new OutputPaths()
  return {
    ...appHandlers(surface),
    ...grantHandlers(surface),
    ...checkpointHandlers(surface),
    ...jobHandlers(surface, outputs),
    ...partialHandlers(surface, outputs),
  }
}
