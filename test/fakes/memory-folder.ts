/** A checkpoint folder in memory, for tests of everything above the file system. */
import type { CheckpointFolder, FolderEntry } from '../../main/engine/io/ports.ts'
import { AppError } from '../../shared/errors/app-error.ts'

export class MemoryFolder implements CheckpointFolder {
  readonly displayPath = '/memory/checkpoint'
  readonly files: Map<string, Uint8Array<ArrayBuffer>>
  /** Bytes that were asked for, by file. */
  readonly bytesRead = new Map<string, number>()

  constructor(files: Readonly<Record<string, Uint8Array<ArrayBuffer> | string>>) {
    this.files = new Map(
      Object.entries(files).map(([name, content]) => [
        name,
        typeof content === 'string' ? new TextEncoder().encode(content) : content,
      ]),
    )
  }

  list(): Promise<readonly FolderEntry[]> {
    return Promise.resolve(
      [...this.files].map(([name, bytes]) => ({
        name,
        kind: 'file',
        sizeBytes: bytes.length,
        modifiedMs: 0,
      })),
    )
  }

  readAll(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.files.get(name)
    if (bytes === undefined || bytes.length > limitBytes) throw failure(name)
    return this.readRange(name, 0, bytes.length)
  }

  readRange(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = this.files.get(name)
    if (bytes === undefined || offsetBytes + lengthBytes > bytes.length) throw failure(name)
    this.bytesRead.set(name, (this.bytesRead.get(name) ?? 0) + lengthBytes)
    return Promise.resolve(bytes.slice(offsetBytes, offsetBytes + lengthBytes))
  }

  sizeOf(name: string): Promise<number | undefined> {
    return Promise.resolve(this.files.get(name)?.length)
  }
}

function failure(name: string): AppError {
  return new AppError('READ_FAILED', { subject: name, problem: 'not in this folder', remedy: 'none' })
}
