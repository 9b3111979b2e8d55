/**
 * Which checkpoints and exports the user has had here. An entry is made only for a path that was granted, so it may be granted again: that is
 * what makes a recent checkpoint open with one click.
 */
import { randomBytes } from 'node:crypto'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { CheckpointSummary } from '../../shared/domain/checkpoint-summary.ts'
import type { LibraryEntry, LibraryEntryId, LibraryKind, LibraryState } from '../../shared/domain/library.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { PathGrants } from '../security/path-grants.ts'
import { MAX_LIBRARY_ENTRIES, type StoredLibraryEntry } from './stored-data.ts'
import type { UserData } from './user-data.ts'

export interface LibraryOptions {
  readonly userData: UserData
  readonly grants: PathGrants
  readonly sampleFolder: string
  /** @default Date.now */
  readonly now?: () => number
}

const PARTIAL_SUFFIX = '.partial'

export class Library {
  readonly #options: LibraryOptions

  constructor(options: LibraryOptions) {
    this.#options = options
  }

  /** A checkpoint that has just been opened. An export that was made here stays one. Never throws. */
  rememberCheckpoint(path: string, { family, totalBytes }: CheckpointSummary): void {
    const known = this.#stored().find((entry) => entry.path === path)
    this.#remember({
      kind: known?.kind ?? 'checkpoint',
      path,
      family,
      recipe: known?.recipe,
      sizeBytes: totalBytes,
    })
  }

  /** A run that has just been started: its export may become finished or stay a partial folder. Never throws. */
  rememberRun(path: string, recipe: string): void {
    this.#remember({ kind: 'export', path, family: undefined, recipe, sizeBytes: undefined })
  }

  /** Most recently used first, with what is on disk now. Grants every checkpoint and export that is there. */
  list(): Promise<readonly LibraryEntry[]> {
    return Promise.all(this.#stored().map((entry) => this.#describe(entry)))
  }

  /** Where exports of earlier sessions went. */
  exportPaths(): readonly string[] {
    return this.#stored().flatMap(({ kind, path }) => (kind === 'export' ? [path] : []))
  }

  /** Forgets an entry; nothing on disk is touched. Throws WRITE_FAILED. */
  forget(entryId: string): void {
    this.#options.userData.update((data) => ({
      ...data,
      library: data.library.filter((entry) => entry.entryId !== entryId),
    }))
  }

  #stored(): readonly StoredLibraryEntry[] {
    return this.#options.userData.read().library
  }

  #remember(entry: Omit<StoredLibraryEntry, 'entryId' | 'name' | 'usedMs'>): void {
    const usedMs = (this.#options.now ?? Date.now)()
    const newId = `l_${randomBytes(12).toString('base64url')}`
    const remembered = (known: StoredLibraryEntry | undefined): StoredLibraryEntry => ({
      ...entry,
      family: entry.family ?? known?.family,
      entryId: known?.entryId ?? newId,
      name: (basename(entry.path) || entry.path).slice(0, 256),
      usedMs,
    })
    try {
      this.#options.userData.update((data) => {
        const others = data.library.filter(({ path }) => path !== entry.path)
        const known = data.library.find(({ path }) => path === entry.path)
        return { ...data, library: [remembered(known), ...others].slice(0, MAX_LIBRARY_ENTRIES) }
      })
    } catch (error: unknown) {
      // The list of recent folders is a convenience; a full disk must not keep anybody from opening one.
      if (!(error instanceof AppError)) throw error
    }
  }

  async #describe(stored: StoredLibraryEntry): Promise<LibraryEntry> {
    const { grants, sampleFolder } = this.#options
    const { kind, path, name, family, recipe, usedMs } = stored
    const state = await stateOf(kind, path)
    const grant =
      state === 'present' ? await grants.grant(path, 'checkpoint').catch(() => undefined) : undefined
    return {
      entryId: stored.entryId as LibraryEntryId,
      ...{ kind, name, family, recipe, usedMs, state, grant },
      displayPath: grants.display(path),
      sizeBytes: state === 'present' ? ((await fileBytes(path)) ?? stored.sizeBytes) : stored.sizeBytes,
      isSample: (await realpath(sampleFolder).catch(() => undefined)) === path,
    }
  }
}

async function stateOf(kind: LibraryKind, path: string): Promise<LibraryState> {
  if (await isFolder(path)) return 'present'
  return kind === 'export' && (await isFolder(`${path}${PARTIAL_SUFFIX}`)) ? 'unfinished' : 'missing'
}

/** False as well for a folder that a link has replaced: what was granted was the real path. */
async function isFolder(path: string): Promise<boolean> {
  const real = await realpath(path).catch(() => undefined)
  return real === path && (await stat(path).catch(() => undefined))?.isDirectory() === true
}

/** Files directly in the folder, as checkpoints keep them. */
async function fileBytes(folder: string): Promise<number | undefined> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => undefined)
  if (entries === undefined) return undefined
  const sizes = entries.map(async (entry) =>
    entry.isFile() ? ((await stat(join(folder, entry.name)).catch(() => undefined))?.size ?? 0) : 0,
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}
