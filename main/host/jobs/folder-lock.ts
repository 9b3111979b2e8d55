/**
 * One run at a time in a partial folder. The lock file names the process; it counts only while that process lives, so a kill leaves nothing
 * that a user would have to clean up. Two runs that begin in the same millisecond are not told apart; two users on two machines neither.
 */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'

interface Owner {
  readonly pid: number
  /** When the process started, in the system's own unit; '' where the system does not tell. A number is used again, a start time is not. */
  readonly started: string
}

export function lockPath(partialPath: string): string {
  return join(partialPath, 'quantmill', 'lock')
}

/** Throws OUTPUT_IN_USE while a living process holds the folder. */
export async function refuseIfLocked(partialPath: string): Promise<void> {
  const owner = await readOwner(lockPath(partialPath))
  if (owner === undefined || !(await isAlive(owner))) return
  throw new AppError('OUTPUT_IN_USE', {
    subject: partialPath,
    problem: `a run is writing it now (process ${String(owner.pid)})`,
    remedy: 'wait until it is finished, or stop it',
  })
}

export async function isLocked(partialPath: string): Promise<boolean> {
  const owner = await readOwner(lockPath(partialPath))
  return owner !== undefined && (await isAlive(owner))
}

/** Takes the lock of an existing folder; resolves to its release. Throws OUTPUT_IN_USE and what the file system says. */
export async function lockFolder(partialPath: string): Promise<() => Promise<void>> {
  await refuseIfLocked(partialPath)
  const path = lockPath(partialPath)
  try {
    const owner: Owner = { pid: process.pid, started: await startOf(process.pid) }
    await writeFile(path, JSON.stringify(owner))
  } catch (error: unknown) {
    throw fromFsError(error, path, 'write')
  }
  return () => rm(path, { force: true })
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const value = JSON.parse(await readFile(path, 'utf8')) as unknown
    const isOwner =
      typeof value === 'object' &&
      value !== null &&
      'pid' in value &&
      Number.isSafeInteger(value.pid) &&
      Number(value.pid) > 0 &&
      'started' in value
    return isOwner ? { pid: Number(value.pid), started: String(value.started) } : undefined
  } catch {
    return undefined // none, or torn by a kill: nobody holds it
  }
}

async function isAlive({ pid, started }: Owner): Promise<boolean> {
  try {
    process.kill(pid, 0)
  } catch (error: unknown) {
    // EPERM: it lives and belongs to somebody else.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  return started === '' || started === (await startOf(pid))
}

async function startOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') return ''
  try {
    const text = await readFile(`/proc/${String(pid)}/stat`, 'utf8')
    // Field 22; the name in field 2 may hold anything, so it is counted from its closing bracket.
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}
