/** A folder some of whose files are texts that are not written yet: an export before it is sealed. */
import type { CheckpointFolder, FolderEntry } from './ports.ts'
import { AppError } from '../../../shared/errors/app-error.ts'

export class OverlaidFolder implements CheckpointFolder {
  readonly displayPath: string
  private readonly inner: CheckpointFolder
  private readonly texts: ReadonlyMap<string, Uint8Array<ArrayBuffer>>

  /** `texts` by file name; they hide files of the same name. */
  constructor(inner: CheckpointFolder, texts: ReadonlyMap<string, string>) {
    this.inner = inner
    this.displayPath = inner.displayPath
    const encoder = new TextEncoder()
    this.texts = new Map([...texts].map(([name, text]) => [name, encoder.encode(text)]))
  }

  async list(): Promise<readonly FolderEntry[]> {
    const below = (await this.inner.list()).filter(({ name }) => !this.texts.has(name))
    const own = [...this.texts].map(([name, { length }]) => ({
      name,
      kind: 'file' as const,
      sizeBytes: length,
      modifiedMs: 0,
    }))
    return [...below, ...own].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  readAll(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const text = this.texts.get(name)
    if (text === undefined) return this.inner.readAll(name, limitBytes)
    if (text.length <= limitBytes) return Promise.resolve(text)
    return Promise.reject(
      new AppError('FILE_TOO_LARGE', {
        subject: name,
        problem: `${String(text.length)} bytes is more than the limit of ${String(limitBytes)}`,
        remedy: 'check that this is the right file',
      }),
    )
  }

  readRange(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const text = this.texts.get(name)
    return text === undefined
      ? this.inner.readRange(name, offsetBytes, lengthBytes)
      : Promise.resolve(text.slice(offsetBytes, offsetBytes + lengthBytes))
  }

  sizeOf(name: string): Promise<number | undefined> {
    const text = this.texts.get(name)
    return text === undefined ? this.inner.sizeOf(name) : Promise.resolve(text.length)
  }
}
