/** Ways in which a path becomes a grant: the system's dialog, the sample, the browser's folder list. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HandlerTable } from '../handler-table.ts'
import type { FolderSource, Surface } from '../surface.ts'

type GrantRoutes = 'grant.pick' | 'grant.use_sample' | 'folder.list' | 'folder.grant'

export function grantHandlers(surface: Surface): Pick<HandlerTable, GrantRoutes> {
  return {
    'grant.pick': async ({ purpose }) => {
      if (surface.pickPath === undefined) throw unavailable('grant.pick', 'use the folder list')
      const path = await surface.pickPath(purpose)
      return path === undefined ? undefined : surface.grants.grant(path, purpose)
    },
    'grant.use_sample': () => surface.grants.grant(surface.sampleFolder, 'checkpoint'),
    'folder.list': ({ entryId }) => folders(surface).list(entryId),
    'folder.grant': async ({ entryId, purpose }) =>
      surface.grants.grant(await folders(surface).pathOf(entryId), purpose),
  }
}

function folders(surface: Surface): FolderSource {
  if (surface.folders === undefined) throw unavailable('folder.list', 'use the system dialog')
  return surface.folders
}

function unavailable(subject: string, remedy: string): AppError {
  return new AppError('REQUEST_INVALID', { subject, problem: 'this surface does not offer it', remedy })
}
