/**
 * The browser's stand-in for the system's file dialog: lists folders below granted roots. Entries have random ids, hidden files are left out,
 * and a link is listed only when what it points at lies below a root too.
 */
import { randomBytes } from 'node:crypto'
import type { Dirent, Stats } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { FolderListing } from '../../shared/domain/app-info.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import type { FolderSource } from '../ipc/surface.ts'
import { isInside } from '../security/is-inside.ts'

export interface FolderListOptions {
  /** Folders that may be looked into; those that do not exist are ignored. */
  readonly roots: readonly string[]
  readonly display: (path: string) => string
}

type Entry = FolderListing['entries'][number]

/** Id of the list of roots, above every root. */
const TOP_ID = 'e_top'
/** Bounds one answer and the table of ids (CWE-770). */
const MAX_ENTRIES = 2_000
const MAX_IDS = 100_000

export class FolderList implements FolderSource {
  readonly #options: FolderListOptions
  readonly #pathById = new Map<string, string>()
  readonly #idByPath = new Map<string, string>()

  constructor(options: FolderListOptions) {
    this.#options = options
  }

  /** Throws GRANT_UNKNOWN for an id of another server or a folder that has gone, READ_FAILED when it cannot be read. */
  async list(entryId: string | undefined): Promise<FolderListing> {
    const roots = await this.#realRoots()
    if (entryId === undefined || entryId === TOP_ID) return this.#listRoots(roots)
    const folder = await this.pathOf(entryId)
    const parent = dirname(folder)
    const items = await readdir(folder, { withFileTypes: true }).catch(() => {
      throw new AppError('READ_FAILED', {
        subject: this.#options.display(folder),
        problem: 'the folder cannot be read',
        remedy: 'check its permissions or choose another folder',
      })
    })
    const visible = items.filter(({ name }) => !name.startsWith('.')).sort(byKindAndName)
    const entries: Entry[] = []
    for (const { name } of visible.slice(0, MAX_ENTRIES)) {
      const entry = await this.#entry(join(folder, name), name, roots)
      if (entry !== undefined) entries.push(entry)
    }
    return {
      displayPath: this.#options.display(folder),
      parentEntryId: isBelow(parent, roots) ? this.#idOf(parent) : TOP_ID,
      entries,
    }
  }

  /** The real path behind an id, still below a root. Throws GRANT_UNKNOWN. */
  async pathOf(entryId: string): Promise<string> {
    const path = this.#pathById.get(entryId)
    const real = path === undefined ? undefined : await realpath(path).catch(() => undefined)
    if (real === undefined || real !== path || !isBelow(real, await this.#realRoots())) {
      throw new AppError('GRANT_UNKNOWN', {
        subject: 'folder list',
        problem: 'the entry is not known or has gone',
        remedy: 'open the folder list again',
      })
    }
    return real
  }

  async #listRoots(roots: readonly string[]): Promise<FolderListing> {
    const entries: Entry[] = []
    for (const root of roots) {
      const entry = await this.#entry(root, this.#options.display(root), roots)
      if (entry !== undefined) entries.push(entry)
    }
    return { displayPath: '', parentEntryId: undefined, entries }
  }

  /** One row; undefined for what is neither folder nor file, cannot be read, or leads out of the roots. */
  async #entry(path: string, name: string, roots: readonly string[]): Promise<Entry | undefined> {
    const real = await realpath(path).catch(() => undefined)
    if (real === undefined || !isBelow(real, roots)) return undefined
    const stats: Stats | undefined = await stat(real).catch(() => undefined)
    if (stats?.isDirectory() === true) {
      const isCheckpoint = await looksLikeCheckpoint(real)
      return { entryId: this.#idOf(real), name, kind: 'folder', sizeBytes: 0, isCheckpoint }
    }
    if (stats?.isFile() !== true) return undefined
    return { entryId: this.#idOf(real), name, kind: 'file', sizeBytes: stats.size, isCheckpoint: false }
  }

  async #realRoots(): Promise<readonly string[]> {
    const found = await Promise.all(this.#options.roots.map((root) => realpath(root).catch(() => undefined)))
    return [...new Set(found.filter((root) => root !== undefined))]
  }

  #idOf(path: string): string {
    const known = this.#idByPath.get(path)
    if (known !== undefined) return known
    const entryId = `e_${randomBytes(16).toString('base64url')}`
    this.#pathById.set(entryId, path)
    this.#idByPath.set(path, entryId)
    const oldest = this.#pathById.entries().next()
    if (this.#pathById.size > MAX_IDS && oldest.done !== true) {
      this.#pathById.delete(oldest.value[0])
      this.#idByPath.delete(oldest.value[1])
    }
    return entryId
  }
}

function isBelow(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => isInside(path, root))
}

/** By name only; the host decides what it really is when it is opened. */
async function looksLikeCheckpoint(folder: string): Promise<boolean> {
  const hasConfig = (await stat(join(folder, 'config.json')).catch(() => undefined))?.isFile() === true
  if (!hasConfig) return false
  const names = await readdir(folder).catch(() => [])
  return names.some((name) => name.endsWith('.safetensors'))
}

/** Folders first, then by name as people count ("2" before "10"). */
function byKindAndName(left: Dirent, right: Dirent): number {
  const order = Number(right.isDirectory()) - Number(left.isDirectory())
  return order === 0 ? basename(left.name).localeCompare(right.name, 'en', { numeric: true }) : order
}
