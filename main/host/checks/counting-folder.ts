/** A checkpoint folder that says how many bytes were read from it. */
import type { CheckpointFolder, FolderEntry } from '../../engine/io/ports.ts'

export class CountingFolder implements CheckpointFolder {
  private readonly inner: CheckpointFolder
  private readonly onRead: (sizeBytes: number) => void

  constructor(inner: CheckpointFolder, onRead: (sizeBytes: number) => void) {
    this.inner = inner
    this.onRead = onRead
  }

  get displayPath(): string {
    return this.inner.displayPath
  }

  list(): Promise<readonly FolderEntry[]> {
    return this.inner.list()
  }

  readAll(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.inner.readAll(name, limitBytes)
  }

  async readRange(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.inner.readRange(name, offsetBytes, lengthBytes)
    this.onRead(lengthBytes)
    return bytes
  }

  /** What is in there does not count. */
  async subfolder(name: string): Promise<CheckpointFolder | undefined> {
    return this.inner.subfolder?.(name)
  }

  sizeOf(name: string): Promise<number | undefined> {
    return this.inner.sizeOf(name)
  }
}
