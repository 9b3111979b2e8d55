/**
 * The one file that is kept for the user between starts: settings, library, last folders. Read again before every change, so that two programs
 * on the same file lose at most what they change at the same moment; written beside and renamed, so that it is whole or as before.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { AppError } from '../../shared/errors/app-error.ts'
import { EMPTY_DATA, parseStored, type StoredData } from './stored-data.ts'

export class UserData {
  readonly #file: string | undefined
  #memory: StoredData = EMPTY_DATA

  /** Without a file everything is forgotten at the end. */
  constructor(file?: string) {
    this.#file = file
  }

  /** Never throws: what is missing or damaged reads as nothing set. */
  read(): StoredData {
    if (this.#file === undefined) return this.#memory
    const text = readText(this.#file)
    if (text === undefined) return EMPTY_DATA
    try {
      return parseStored(JSON.parse(text))
    } catch {
      keepAside(this.#file)
      return EMPTY_DATA
    }
  }

  /** Throws WRITE_FAILED; the file is then as it was. */
  update(change: (data: StoredData) => StoredData): StoredData {
    const changed = change(this.read())
    if (this.#file === undefined) this.#memory = changed
    else write(this.#file, changed)
    return changed
  }
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}

/** A file that is no JSON may hold what somebody wants back; the next write must not be its end. */
function keepAside(file: string): void {
  try {
    renameSync(file, `${file}.damaged`)
  } catch {
    return // then it stays where it is
  }
}

function write(file: string, data: StoredData): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(`${file}.partial`, `${JSON.stringify({ version: 1, ...data }, undefined, 2)}\n`, {
      mode: 0o600,
    })
    renameSync(`${file}.partial`, file)
  } catch (error: unknown) {
    throw new AppError('WRITE_FAILED', {
      subject: file,
      problem: `the settings cannot be kept (${error instanceof Error ? error.message : String(error)})`,
      remedy: 'make room or check the permissions of this folder',
      cause: error,
    })
  }
}
