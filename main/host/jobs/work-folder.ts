/** The partial folder of a run while tensors are written: open shards, journal and what an earlier attempt has finished. */
import { readFile, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { invariant } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import { removeLayerRecords } from '../smoothing/smoothing-store.ts'
import type { TaskResult } from '../../workers/export-protocol.ts'
import type { HostStartRequest } from '../host-api.ts'
import { BOUNDARY_FILES, type BoundaryRecord } from './boundary-record.ts'
import { lockFolder, refuseIfLocked } from './folder-lock.ts'
import {
  checkIdentity,
  Journal,
  JOURNAL_NAME,
  readJournal,
  type ReadJournal,
  type RunIdentity,
} from './journal.ts'
import {
  createPartial,
  createShard,
  reopenShard,
  writeSmallFile,
  type OutputFolder,
} from './output-folder.ts'
import { CHOICE_NAME } from './kept-choice.ts'
import { readRunRecord, runRecordPath, writeRunRecord } from './run-record.ts'

export interface WorkFolder {
  readonly shards: readonly FileHandle[]
  readonly journal: Journal
  /** `quantmill` in the partial folder. */
  readonly ownPath: string
  /** By task index; empty for a new run. */
  readonly finished: ReadonlyMap<number, TaskResult>
  /** Calibration states of an earlier attempt, newest first. */
  readonly boundaries: readonly BoundaryRecord[]
  /**
   * Closes the journal and removes what only an unfinished run needs; the folder is then the export. Resolves to a function that brings
   * it back, for the case that the folder cannot be published; it never rejects.
   */
  finish(): Promise<() => Promise<void>>
  /** Closes every file and gives the folder back to whoever wants to go on. Idempotent; never rejects. */
  close(): Promise<void>
}

type OpenFiles = Pick<WorkFolder, 'shards' | 'journal' | 'finished' | 'boundaries'>

export function journalPath(output: OutputFolder): string {
  return join(ownFolder(output), JOURNAL_NAME)
}

function ownFolder(output: OutputFolder): string {
  return join(output.partialPath, 'quantmill')
}

/** Starts a new partial folder, or continues one. Throws RESUME_MISMATCH, JOURNAL_INVALID, OUTPUT_IN_USE and what the file system says. */
export async function openWorkFolder(
  output: OutputFolder,
  plan: ExportPlan,
  identity: RunIdentity,
  request: HostStartRequest,
): Promise<WorkFolder> {
  await refuseIfLocked(output.partialPath)
  const read = request.canResume === true ? await readJournal(journalPath(output)) : undefined
  if (read !== undefined) {
    checkIdentity(journalPath(output), read.identity, identity)
    const continued = await whileLocked(output, () => continueWork(output, plan, read, request))
    if (continued !== undefined) return continued
  }
  await createPartial(output)
  const begun = await whileLocked(output, () => beginWork(output, plan, identity, request))
  invariant(begun !== undefined, 'a new partial folder cannot be what an earlier run left')
  return begun
}

/** Opens under the lock; gives it back when there is nothing to work with. */
async function whileLocked(
  output: OutputFolder,
  openFiles: () => Promise<OpenFiles | undefined>,
): Promise<WorkFolder | undefined> {
  const unlock = await lockFolder(output.partialPath)
  try {
    const files = await openFiles()
    const ownPath = ownFolder(output)
    if (files !== undefined) return { ...files, ownPath, ...endings(output, files, unlock) }
  } catch (error: unknown) {
    await unlock()
    throw error
  }
  await unlock()
  return undefined
}

function endings(
  output: OutputFolder,
  { journal, shards }: OpenFiles,
  unlock: () => Promise<void>,
): Pick<WorkFolder, 'finish' | 'close'> {
  return {
    finish: async () => {
      // The journal last: as long as it is there, a kill costs nothing.
      const paths = [runRecordPath(output.partialPath), journalPath(output)]
      let restore = (): Promise<void> => Promise.resolve()
      try {
        await journal.close()
        for (const name of [...BOUNDARY_FILES, CHOICE_NAME])
          await rm(join(ownFolder(output), name), { force: true })
        await removeLayerRecords(ownFolder(output))
        const kept = await Promise.all(paths.map(async (path) => ({ path, bytes: await readFile(path) })))
        restore = async () => {
          // Best effort: without it the next run starts anew.
          for (const { path, bytes } of kept) await writeSmallFile(path, bytes).catch(() => undefined)
        }
        await unlock()
        for (const path of paths) await rm(path)
        return restore
      } catch (error: unknown) {
        await restore()
        throw fromFsError(error, output.partialPath, 'write')
      }
    },
    close: async () => {
      await journal.close().catch(() => undefined)
      await closeAll(shards)
      await unlock().catch(() => undefined) // a lock that stays counts only while this process lives
    },
  }
}

/** Request and journal first: from then on the folder says whose it is, and can be continued or removed. */
async function beginWork(
  output: OutputFolder,
  plan: ExportPlan,
  identity: RunIdentity,
  request: HostStartRequest,
): Promise<OpenFiles> {
  await writeRunRecord(output.partialPath, request, plan.tasks.length)
  const shards: FileHandle[] = []
  const journal = await Journal.create(journalPath(output), identity, () => syncAll(shards))
  try {
    for (const shard of plan.shards) {
      shards.push(await createShard(join(output.partialPath, shard.fileName), shard.sizeBytes, shard.header))
    }
    return { shards, journal, finished: new Map(), boundaries: [] }
  } catch (error: unknown) {
    await closeAll(shards)
    await journal.close()
    throw error
  }
}

/** undefined when a shard is not what the plan says: the run died before it was made, or somebody else touched it. */
async function continueWork(
  output: OutputFolder,
  plan: ExportPlan,
  read: ReadJournal,
  request: HostStartRequest,
): Promise<OpenFiles | undefined> {
  const shards: FileHandle[] = []
  try {
    for (const { fileName, sizeBytes, header } of plan.shards) {
      const handle = await reopenShard(join(output.partialPath, fileName), sizeBytes, header)
      if (handle === undefined) {
        await closeAll(shards)
        return undefined
      }
      shards.push(handle)
    }
    // A kill between the two removals of `finish` leaves the journal alone.
    if ((await readRunRecord(output.partialPath)) === undefined) {
      await writeRunRecord(output.partialPath, request, plan.tasks.length)
    }
    const journal = await Journal.reopen(journalPath(output), read.validBytes, () => syncAll(shards))
    return { shards, journal, finished: read.tasks, boundaries: read.boundaries }
  } catch (error: unknown) {
    await closeAll(shards)
    throw fromFsError(error, output.partialPath, 'read')
  }
}

export async function syncAll(shards: readonly FileHandle[]): Promise<void> {
  for (const shard of shards) {
    try {
      await shard.datasync()
    } catch (error: unknown) {
      throw fromFsError(error, 'shard', 'write')
    }
  }
}

export async function closeAll(handles: readonly FileHandle[]): Promise<void> {
  await Promise.all(handles.map((handle) => handle.close()))
}
