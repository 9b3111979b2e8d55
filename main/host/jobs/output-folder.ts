/**
 * The output of a run on disk: everything is written into `<output>.partial`; the final name appears by one rename after fsync.
 * Nothing here follows links out of the folder, and an existing export is never touched before the new one is complete.
 */
import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import {
  access,
  copyFile,
  lstat,
  mkdir,
  open,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  type FileHandle,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { writeFully } from '../../engine/io/node/write-fully.ts'
import { isInside } from '../../security/is-inside.ts'

export const PARTIAL_SUFFIX = '.partial'
const WRITE_PIECE_CHARACTERS = 256 * 1024

export interface OutputFolder {
  readonly finalPath: string
  readonly partialPath: string
}

/** Checks that the output may be written, before anything is created. Throws OUTPUT_NOT_EMPTY, OUTPUT_INSIDE_SOURCE, SOURCE_INSIDE_OUTPUT. */
export async function checkOutput(
  outputPath: string,
  sourcePath: string,
  { canOverwrite, canResume }: { readonly canOverwrite: boolean; readonly canResume: boolean },
): Promise<OutputFolder> {
  const finalPath = await resolveThroughLinks(outputPath)
  const source = await realpath(sourcePath).catch((error: unknown) => {
    throw fromFsError(error, sourcePath, 'read')
  })
  refuseNesting(finalPath, source)
  const partialPath = `${finalPath}${PARTIAL_SUFFIX}`
  refuseNesting(partialPath, source)
  for (const path of [finalPath, partialPath]) {
    if (canOverwrite || (canResume && path === partialPath)) continue
    if (await hasContent(path)) {
      throw new AppError('OUTPUT_NOT_EMPTY', {
        subject: path,
        problem:
          path === finalPath ? 'the output exists and is not an empty folder' : 'an unfinished run is there',
        remedy:
          path === finalPath
            ? 'choose another output folder or pass --overwrite'
            : 'continue it with --resume, start again with --overwrite, or choose another output folder',
      })
    }
  }
  return { finalPath, partialPath }
}

/** Whether the partial folder, or where it will be, takes files. Creates nothing. Throws PERMISSION_DENIED, WRITE_FAILED. */
export async function checkWritable({ partialPath }: OutputFolder): Promise<void> {
  let path = partialPath
  while ((await lstatOrUndefined(path)) === undefined && dirname(path) !== path) path = dirname(path)
  try {
    await access(path, constants.W_OK | constants.X_OK)
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}

/** Creates the partial folder, removing an older one (checkOutput has decided that this is allowed). */
export async function createPartial(folder: OutputFolder): Promise<void> {
  try {
    await rm(folder.partialPath, { recursive: true, force: true })
    await mkdir(join(folder.partialPath, 'quantmill'), { recursive: true })
  } catch (error: unknown) {
    throw fromFsError(error, folder.partialPath, 'write')
  }
}

export async function removePartial(folder: OutputFolder): Promise<void> {
  await rm(folder.partialPath, { recursive: true, force: true })
}

/** Opens a new file of the planned size with its first bytes in place. Refuses to follow or replace anything. */
export async function createShard(path: string, sizeBytes: number, header: Uint8Array): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o644)
    try {
      await handle.truncate(sizeBytes)
      writeFully(handle.fd, header, 0, path)
      return handle
    } catch (error: unknown) {
      await handle.close()
      throw error
    }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}

/** Writes a small file, replacing one that an unfinished run left, and makes it durable. */
export async function writeSmallFile(
  path: string,
  bytes: string | Uint8Array | Iterable<string>,
): Promise<void> {
  try {
    await rm(path, { force: true })
    const handle = await open(path, 'wx', 0o644)
    try {
      const pieces = typeof bytes === 'string' || bytes instanceof Uint8Array ? [bytes] : inLargePieces(bytes)
      for (const piece of pieces) await handle.appendFile(piece)
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}

/** Joins pieces up to some size, so that a long file is not one system call a line. */
function* inLargePieces(pieces: Iterable<string>): Generator<string> {
  let text = ''
  for (const piece of pieces) {
    text += piece
    if (text.length < WRITE_PIECE_CHARACTERS) continue
    yield text
    text = ''
  }
  yield text
}

/** Copies a side file byte for byte and returns its SHA-256. Throws SOURCE_CHANGED when it is written meanwhile. */
export async function copySideFile(fromPath: string, toPath: string): Promise<string> {
  try {
    await rm(toPath, { force: true })
    const before = await stat(fromPath)
    await copyFile(fromPath, toPath, constants.COPYFILE_EXCL)
    const after = await stat(fromPath)
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) {
      throw new AppError('SOURCE_CHANGED', {
        subject: fromPath,
        problem: 'the file changed while it was being copied',
        remedy: 'let nothing write to the checkpoint during a run, then start again',
      })
    }
    const handle = await open(toPath, 'r+')
    try {
      await handle.chmod(0o644)
      const hash = createHash('sha256')
      for await (const chunk of handle.createReadStream({ autoClose: false }))
        hash.update(chunk as Uint8Array)
      await handle.sync()
      return hash.digest('hex')
    } finally {
      await handle.close()
    }
  } catch (error: unknown) {
    throw fromFsError(error, toPath, 'write')
  }
}

/** Opens a shard of an unfinished run; undefined when it is not what the plan says, so that the run must start anew. */
export async function reopenShard(
  path: string,
  sizeBytes: number,
  header: Uint8Array,
): Promise<FileHandle | undefined> {
  const stats = await lstatOrUndefined(path)
  if (stats?.isFile() !== true || stats.size !== sizeBytes) return undefined
  const handle = await open(path, 'r+')
  const { buffer } = await handle.read(new Uint8Array(header.length), 0, header.length, 0)
  if (Buffer.compare(buffer, header) === 0) return handle
  await handle.close()
  return undefined
}

/**
 * Makes the finished export visible: rename, fsync of its parent; to be called after syncFolder of the partial folder. An older export is set
 * aside, then removed. Throws as
 * long as the final name does not stand for the new export, and leaves the older one there; what fails after that undoes nothing and is
 * returned as warnings.
 */
export async function publish({ partialPath, finalPath }: OutputFolder): Promise<readonly string[]> {
  const asidePath = `${finalPath}.replaced`
  const present = await lstatOrUndefined(finalPath)
  try {
    if (present !== undefined) await rename(finalPath, asidePath)
    await rename(partialPath, finalPath).catch(async (error: unknown) => {
      if (present !== undefined) await rename(asidePath, finalPath)
      throw error
    })
  } catch (error: unknown) {
    throw fromFsError(error, finalPath, 'write')
  }
  const warnings: string[] = []
  const attempt = async (action: Promise<void>, consequence: string): Promise<void> => {
    await action.catch((error: unknown) => {
      warnings.push(`${consequence}: ${fromFsError(error, finalPath, 'write').problem}`)
    })
  }
  await attempt(
    syncFolder(dirname(finalPath)),
    `${finalPath} is complete, but its name may not survive a power cut`,
  )
  if (present === undefined) return warnings
  await attempt(
    rm(asidePath, { recursive: true, force: true }),
    `${asidePath}, the replaced export, is still there`,
  )
  return warnings
}

/** Makes the names in a folder durable. Throws what the file system says. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
}

/** Real path of something that may not exist yet: the deepest existing ancestor is resolved, the rest appended. */
async function resolveThroughLinks(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch {
    const parent = dirname(path)
    return parent === path ? path : join(await resolveThroughLinks(parent), basename(path))
  }
}

function refuseNesting(output: string, source: string): void {
  if (isInside(output, source)) {
    throw new AppError('OUTPUT_INSIDE_SOURCE', {
      subject: output,
      problem: `the output would lie inside the source checkpoint ${source}`,
      remedy: 'choose an output folder outside it',
    })
  }
  if (isInside(source, output)) {
    throw new AppError('SOURCE_INSIDE_OUTPUT', {
      subject: output,
      problem: `the source checkpoint ${source} lies inside the output folder`,
      remedy: 'choose an output folder that does not contain the source',
    })
  }
}

async function hasContent(path: string): Promise<boolean> {
  const stats = await lstatOrUndefined(path)
  if (stats === undefined) return false
  if (!stats.isDirectory()) return true
  return (await readdir(path)).length > 0
}

async function lstatOrUndefined(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path)
  } catch {
    return undefined
  }
}
