/** Calibration states on disk: written once and hashed as they can be read back; a file that is not what was vouched for is not used. */
import { createHash } from 'node:crypto'
import { fstatSync, openSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import {
  readBoundary,
  restoreStates,
  writeBoundary,
  type Boundary,
  type BoundaryKey,
  type BoundaryPasses,
} from '../../calibration/boundary.ts'
import { fromFsError } from './fs-error.ts'
import { createFile, PositionedFile } from './positioned-file.ts'

const HASH_PIECE_BYTES = 4 * 1024 * 1024

export interface FileSeal {
  readonly sizeBytes: number
  readonly sha256: string
}

/** Writes a state, replacing what is at `path`; the caller makes it durable. Throws DISK_FULL, WRITE_FAILED, PERMISSION_DENIED. */
export async function saveBoundary(
  path: string,
  key: BoundaryKey,
  boundary: Boundary,
  passes: BoundaryPasses<'exportStates'>,
): Promise<FileSeal> {
  return whileOpen(createFile(path), path, async (file) => {
    await writeBoundary(file, key, boundary, passes)
    const { size } = fstatSync(file.descriptor)
    return { sizeBytes: size, sha256: hashOf(file, size) }
  })
}

/** Gives the state at `path` to the passes. Throws JOURNAL_INVALID or READ_FAILED, before they are touched, when it is not to be used. */
export async function loadBoundary(
  path: string,
  { sizeBytes, sha256 }: FileSeal,
  key: BoundaryKey,
  passes: BoundaryPasses<'importStates'>,
): Promise<Boundary> {
  return whileOpen(openExisting(path), path, async (file) => {
    const isSame = fstatSync(file.descriptor).size === sizeBytes && hashOf(file, sizeBytes) === sha256
    if (!isSame) {
      throw new AppError('JOURNAL_INVALID', {
        subject: path,
        problem: 'it is not the file that was kept',
        remedy: 'calibration starts from its first layer again',
      })
    }
    const boundary = readBoundary(file, sizeBytes, key)
    await restoreStates(file, sizeBytes, passes)
    return boundary
  })
}

async function whileOpen<T>(
  descriptor: number,
  path: string,
  work: (file: PositionedFile) => Promise<T>,
): Promise<T> {
  const file = new PositionedFile(descriptor, path)
  try {
    return await work(file)
  } finally {
    file.close()
  }
}

function openExisting(path: string): number {
  try {
    return openSync(path, 'r')
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

function hashOf(file: PositionedFile, sizeBytes: number): string {
  const hash = createHash('sha256')
  const piece = new Uint8Array(Math.min(HASH_PIECE_BYTES, sizeBytes))
  for (let position = 0; position < sizeBytes; position += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, sizeBytes - position))
    file.read(part, position)
    hash.update(part)
  }
  return hash.digest('hex')
}
