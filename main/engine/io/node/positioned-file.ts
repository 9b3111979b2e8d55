/** An open file with blocking reads and writes at given positions, counted. */
import { closeSync, openSync, rmSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ScratchFile } from '../ports.ts'
import { fromFsError } from './fs-error.ts'
import { readFully } from './read-fully.ts'
import { writeFully } from './write-fully.ts'

export class PositionedFile implements ScratchFile {
  bytesWritten = 0
  bytesRead = 0
  readonly path: string
  readonly descriptor: number
  private isOpen = true

  /** Takes over `descriptor`; `path` is for messages. */
  constructor(descriptor: number, path: string) {
    this.descriptor = descriptor
    this.path = path
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
    writeFully(this.descriptor, source, positionBytes, this.path)
    this.bytesWritten += source.length
  }

  /** Idempotent. */
  close(): void {
    if (!this.isOpen) return
    this.isOpen = false
    closeSync(this.descriptor)
  }
}

/** Descriptor of a new file for reading and writing; replaces what is at `path`, and follows nothing there. Throws what fromFsError makes. */
export function createFile(path: string): number {
  try {
    rmSync(path, { force: true })
    return openSync(path, 'wx+', 0o600)
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}
