/** The partial folder of a run while tensors are written: open shards, journal and what an earlier attempt has finished. */
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import type { TaskResult } from '../../workers/export-protocol.ts'
import { checkIdentity, Journal, JOURNAL_NAME, readJournal, type RunIdentity } from './journal.ts'
import { createPartial, createShard, reopenShard, type OutputFolder } from './output-folder.ts'

export interface WorkFolder {
  readonly shards: readonly FileHandle[]
  readonly journal: Journal
  /** By task index; empty for a new run. */
  readonly finished: ReadonlyMap<number, TaskResult>
}

export function journalPath(output: OutputFolder): string {
  return join(output.partialPath, 'quantmill', JOURNAL_NAME)
}

/** Starts a new partial folder, or continues one. Throws RESUME_MISMATCH, JOURNAL_INVALID and what the file system says. */
export async function openWorkFolder(
  output: OutputFolder,
  plan: ExportPlan,
  identity: RunIdentity,
  canResume: boolean,
): Promise<WorkFolder> {
  const continued = canResume ? await continueWork(output, plan, identity) : undefined
  if (continued !== undefined) return continued
  await createPartial(output)
  const shards: FileHandle[] = []
  for (const shard of plan.shards) {
    shards.push(await createShard(join(output.partialPath, shard.fileName), shard.sizeBytes, shard.header))
  }
  const journal = await Journal.create(journalPath(output), identity, () => syncAll(shards))
  return { shards, journal, finished: new Map() }
}

async function continueWork(
  output: OutputFolder,
  plan: ExportPlan,
  identity: RunIdentity,
): Promise<WorkFolder | undefined> {
  const path = journalPath(output)
  const read = await readJournal(path)
  if (read === undefined) return undefined
  checkIdentity(path, read.identity, identity)
  const shards: FileHandle[] = []
  for (const shard of plan.shards) {
    const handle = await reopenShard(join(output.partialPath, shard.fileName), shard.sizeBytes, shard.header)
    if (handle === undefined) {
      await closeAll(shards)
      return undefined
    }
    shards.push(handle)
  }
  const journal = await Journal.reopen(path, read.validBytes, () => syncAll(shards))
  return { shards, journal, finished: read.tasks }
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
