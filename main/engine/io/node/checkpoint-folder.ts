/**
 * A checkpoint folder on disk. File names are single segments; links are followed only where hub caches put them (a `blobs` folder two
 * levels up) or inside the folder itself; sockets, pipes and devices are never opened.
 */
import { constants, realpathSync } from 'node:fs'
import { open, readdir, realpath, stat, type FileHandle } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve, sep } from 'node:path'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { CheckpointFolder, FolderEntry } from '../ports.ts'
import { fromFsError } from './fs-error.ts'

/** `path` is a folder the user chose; it may itself be a link. Nothing is opened before the first call. */
export class NodeCheckpointFolder implements CheckpointFolder {
  readonly displayPath: string

  constructor(path: string) {
    this.displayPath = resolve(path)
  }

  /** Real path of a file of this folder, for opening. Throws PATH_ESCAPES_CHECKPOINT. */
  pathOf(name: string): string {
    const path = this.join(name)
    try {
      return this.confine(name, realpathSync(path))
    } catch (error: unknown) {
      throw fromFsError(error, path, 'read')
    }
  }

  async list(): Promise<readonly FolderEntry[]> {
    const names = await readdir(this.displayPath).catch((error: unknown) => {
      throw fromFsError(error, this.displayPath, 'read')
    })
    const entries = await Promise.all(names.sort().map((name) => this.entry(name)))
    return entries.filter((entry) => entry !== undefined)
  }

  async sizeOf(name: string): Promise<number | undefined> {
    const entry = await this.entry(name)
    return entry?.kind === 'file' ? entry.sizeBytes : undefined
  }

  async readAll(name: string, limitBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const sizeBytes = await this.sizeOf(name)
    if (sizeBytes === undefined) {
      throw new AppError('READ_FAILED', {
        subject: name,
        problem: 'there is no such file',
        remedy: 'check the folder',
      })
    }
    if (sizeBytes > limitBytes) {
      throw new AppError('FILE_TOO_LARGE', {
        subject: name,
        problem: `${String(sizeBytes)} bytes is more than the limit of ${String(limitBytes)}`,
        remedy: 'check that this is the right file',
      })
    }
    return this.readRange(name, 0, sizeBytes)
  }

  async readRange(name: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array<ArrayBuffer>> {
    const path = this.pathOf(name)
    try {
      // A pipe without a writer would block a blocking open for ever; for regular files the flag means nothing.
      const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        return await readFully(handle, name, offsetBytes, lengthBytes)
      } finally {
        await handle.close()
      }
    } catch (error: unknown) {
      throw fromFsError(error, path, 'read')
    }
  }

  /** CWE-59: a link to a folder elsewhere counts as none. */
  async subfolder(name: string): Promise<NodeCheckpointFolder | undefined> {
    if ((await this.entry(name))?.kind !== 'folder') return undefined
    const path = this.join(name)
    return (await realpath(path)) === join(await realpath(this.displayPath), name)
      ? new NodeCheckpointFolder(path)
      : undefined
  }

  private async entry(name: string): Promise<FolderEntry | undefined> {
    try {
      const path = this.join(name)
      const { isFile, isDirectory, size, mtimeMs } = await stat(path).then((stats) => ({
        isFile: stats.isFile(),
        isDirectory: stats.isDirectory(),
        size: stats.size,
        mtimeMs: stats.mtimeMs,
      }))
      if (isFile) this.confine(name, await realpath(path))
      return {
        name,
        kind: isFile ? 'file' : isDirectory ? 'folder' : 'other',
        sizeBytes: size,
        modifiedMs: mtimeMs,
      }
    } catch (error: unknown) {
      if (error instanceof AppError) throw error
      return undefined
    }
  }

  private join(name: string): string {
    if (name === '' || name === '.' || name === '..' || /[/\\\u0000]/.test(name))
      throw this.escapes(name, name)
    return join(this.displayPath, name)
  }

  /** CWE-59: a link may lead inside the folder or into the blob store beside the snapshot folders of a hub cache. */
  private confine(name: string, path: string): string {
    const folder = realpathSync(this.displayPath)
    if (isInside(path, folder) || isInside(path, resolve(folder, '..', '..', 'blobs'))) return path
    throw this.escapes(name, path)
  }

  private escapes(name: string, target: string): AppError {
    return new AppError('PATH_ESCAPES_CHECKPOINT', {
      subject: join(this.displayPath, name),
      problem: `it leads to ${target}, outside the checkpoint`,
      remedy: 'copy the file into the folder',
    })
  }
}

function isInside(path: string, folder: string): boolean {
  const step = relative(folder, path)
  return step !== '..' && !step.startsWith(`..${sep}`) && !isAbsolute(step)
}

async function readFully(
  handle: FileHandle,
  name: string,
  offsetBytes: number,
  lengthBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const stats = await handle.stat()
  if (!stats.isFile()) throw notAFile(name)
  // Before the allocation: a damaged header can ask for more than the file or the memory has.
  if (offsetBytes + lengthBytes > stats.size) throw truncated(name, offsetBytes + lengthBytes)
  const bytes = new Uint8Array(lengthBytes)
  let done = 0
  while (done < lengthBytes) {
    const { bytesRead } = await handle.read(bytes, done, lengthBytes - done, offsetBytes + done)
    if (bytesRead === 0) throw truncated(name, offsetBytes + lengthBytes)
    done += bytesRead
  }
  return bytes
}

function notAFile(name: string): AppError {
  return new AppError('READ_FAILED', {
    subject: name,
    problem: 'it is not a regular file',
    remedy: 'replace it by the file itself',
  })
}

function truncated(name: string, neededBytes: number): AppError {
  return new AppError('SAFETENSORS_TRUNCATED', {
    subject: name,
    problem: `the file ends before byte ${String(neededBytes)}`,
    remedy: 'get an undamaged copy of this file',
  })
}
