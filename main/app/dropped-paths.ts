/** Dropped folders and files become grants; the preload script has read their paths, the page never sees them. */
import { stat } from 'node:fs/promises'
import { extname } from 'node:path'
import type { GrantPurpose } from '../../shared/domain/app-info.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { EventListener } from '../ipc/event-hub.ts'
import type { PathGrants } from '../security/path-grants.ts'

/** Nobody drops more on purpose (CWE-770). */
const MAX_PATHS = 8
const MAX_PATH_CHARACTERS = 32_768

const FILE_PURPOSES: Readonly<Record<string, GrantPurpose>> = {
  '.txt': 'calibration',
  '.jsonl': 'calibration',
  '.safetensors': 'calibration',
  '.yaml': 'recipe',
  '.yml': 'recipe',
}

/** Emits one `grant.dropped` for each usable path, in order. What cannot be used is reported, never granted. */
export async function grantDropped(
  paths: unknown,
  grants: PathGrants,
  emit: EventListener,
  onRefused: (error: AppError) => void,
): Promise<void> {
  if (!Array.isArray(paths)) return
  for (const path of paths.slice(0, MAX_PATHS)) {
    try {
      if (typeof path !== 'string' || path === '' || path.length > MAX_PATH_CHARACTERS) continue
      emit('grant.dropped', await grants.grant(path, await purposeOf(path)))
    } catch (error: unknown) {
      onRefused(AppError.from(error))
    }
  }
}

async function purposeOf(path: string): Promise<GrantPurpose> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isFile() === true) return FILE_PURPOSES[extname(path).toLowerCase()] ?? 'checkpoint'
  return 'checkpoint'
}
