import type { HandlerTable } from '../handler-table.ts'
import type { Surface } from '../surface.ts'
import { appHandlers } from './app.ts'
import { checkpointHandlers } from './checkpoints.ts'
import { grantHandlers } from './grants.ts'
import { jobHandlers } from './jobs.ts'

/** The complete table for one surface. */
export function createHandlers(surface: Surface): HandlerTable {
  return {
    ...appHandlers(surface),
    ...grantHandlers(surface),
    ...checkpointHandlers(surface),
    ...jobHandlers(surface),
  }
}
