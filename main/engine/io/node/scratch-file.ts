/** ScratchFile of ports.ts on disk. Gone when it is closed, when the process ends, and with the folder it lies in. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ScratchFile } from '../ports.ts'
import { fromFsError } from './fs-error.ts'
import { readFully } from './read-fully.ts'

export class NodeScratchFile implements ScratchFile {
  bytesWritten = 0
  bytesRead = 0
  private readonly path: string
  private readonly descriptor: number
  private isOpen = true

  /** Replaces a file that an earlier process left at `path`. Throws DISK_FULL, PERMISSION_DENIED, WRITE_FAILED. */
  constructor(path: string) {
    this.path = path
    try {
      rmSync(path, { force: true })
      this.descriptor = openSync(path, 'wx+', 0o600)
    } catch (error: unknown) {
      throw fromFsError(error, path, 'write')
    }
    // Without a name it is gone with the process, however that ends. Windows keeps the names of open files.
    if (process.platform !== 'win32') rmSync(path, { force: true })
  }

  read(target: Uint8Array, positionBytes: number): void {
    try {
      readFully(this.descriptor, target, positionBytes, this.path)
    } catch (error: unknown) {
      if (!(error instanceof AppError) || error.code !== 'SOURCE_CHANGED') throw error
      throw new AppError('READ_FAILED', {
        subject: this.path,
        problem: `it ends before byte ${String(positionBytes + target.length)}`,
        remedy: 'check the disk and continue with --resume',
      })
    }
    this.bytesRead += target.length
  }

  write(source: Uint8Array, positionBytes: number): void {
    try {
      for (let done = 0; done < source.length;)
        done += writeSync(this.descriptor, source, done, source.length - done, positionBytes + done)
    } catch (error: unknown) {
      throw fromFsError(error, this.path, 'write')
    }
    this.bytesWritten += source.length
  }

  /** Idempotent. */
  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    closeSync(this.descriptor)
    rmSync(this.path, { force: true })
  }
}
