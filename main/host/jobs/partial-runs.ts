/** Unfinished runs as they lie in a folder: which there are, how far they came, what they take; and their removal. */
import { createReadStream } from 'node:fs'
import { lstat, readdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { HostPartial } from '../host-api.ts'
import { isLocked, refuseIfLocked } from './folder-lock.ts'
import { JOURNAL_NAME, readJournalHead } from './journal.ts'
import { PARTIAL_SUFFIX } from './output-folder.ts'
import { readRunRecord } from './run-record.ts'

/** CWE-770: of one folder; more unfinished runs than anybody keeps. */
const MAX_LISTED = 200
const NEWLINE = 0x0a
const TASK_LINE = new TextEncoder().encode('{"task":')

/** Files of ours that say that a partial folder is a run's: one of them is there from its first moments to its last. */
const MARKS = [JOURNAL_NAME, 'run.json', 'lock', 'receipt.json']

/** Newest first. Folders that do not exist or cannot be read give nothing; entries that are not ours are left out. */
export async function listPartials(folders: readonly string[]): Promise<readonly HostPartial[]> {
  const found: HostPartial[] = []
  for (const folder of new Set(folders)) {
    const names = await readdir(folder).catch(() => [])
    for (const name of names.filter((entry) => entry.endsWith(PARTIAL_SUFFIX)).slice(0, MAX_LISTED)) {
      const partial = await describe(join(folder, name))
      if (partial !== undefined) found.push(partial)
    }
  }
  return found.sort((a, b) => b.modifiedMs - a.modifiedMs)
}

/** Removes a partial folder. Throws PARTIAL_UNKNOWN, OUTPUT_IN_USE and what the file system says. */
export async function removePartialRun(partialPath: string): Promise<void> {
  if (!partialPath.endsWith(PARTIAL_SUFFIX) || !(await isOurs(partialPath))) {
    throw new AppError('PARTIAL_UNKNOWN', {
      subject: partialPath,
      problem: 'it is not an unfinished run of Quantmill',
      remedy: 'look at the folder and remove it yourself',
    })
  }
  await refuseIfLocked(partialPath)
  try {
    await rm(partialPath, { recursive: true })
  } catch (error: unknown) {
    throw fromFsError(error, partialPath, 'write')
  }
}

async function describe(partialPath: string): Promise<HostPartial | undefined> {
  if (!(await isOurs(partialPath))) return undefined
  const journalPath = join(partialPath, 'quantmill', JOURNAL_NAME)
  try {
    const hasJournal = await isFile(journalPath)
    const { mtimeMs } = await lstat(hasJournal ? journalPath : partialPath)
    const problem = hasJournal ? await journalProblem(journalPath) : NO_JOURNAL
    const isRunning = await isLocked(partialPath)
    return {
      partialPath,
      outputPath: partialPath.slice(0, -PARTIAL_SUFFIX.length),
      state: isRunning ? 'running' : problem === undefined ? 'resumable' : 'damaged',
      problem: isRunning ? undefined : problem,
      sizeBytes: await diskBytes(partialPath),
      doneTasks: hasJournal ? await countTasks(journalPath) : 0,
      modifiedMs: mtimeMs,
      recorded: await readRunRecord(partialPath),
    }
  } catch {
    return undefined // removed or published while it was looked at
  }
}

const NO_JOURNAL = 'it has no journal: it was ended in its first moments, or in its last'

function journalProblem(journalPath: string): Promise<string | undefined> {
  return readJournalHead(journalPath).then(
    (head) => (head === undefined ? 'its journal is empty' : undefined),
    (error: unknown) => AppError.from(error).problem,
  )
}

/** A real folder with a real folder of ours in it: a link could lead anywhere, and removal would follow where it leads. */
async function isOurs(partialPath: string): Promise<boolean> {
  try {
    const own = join(partialPath, 'quantmill')
    const [outer, inner, real] = await Promise.all([lstat(partialPath), lstat(own), realpath(own)])
    if (!outer.isDirectory() || !inner.isDirectory()) return false
    if (real !== join(await realpath(partialPath), 'quantmill')) return false
    const marks = await Promise.all(MARKS.map((name) => isFile(join(own, name))))
    return marks.includes(true)
  } catch {
    return false
  }
}

async function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )
}

/** What the files take on disk, which for shards that are not full yet is less than their length. */
export async function diskBytes(folder: string): Promise<number> {
  let sum = 0
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) sum += await diskBytes(path)
    else if (entry.isFile()) {
      const { blocks, size } = await lstat(path)
      sum += process.platform === 'win32' ? size : blocks * 512
    }
  }
  return sum
}

/** Lines of a journal that record a task, whatever else it holds and however long a line is. */
async function countTasks(path: string): Promise<number> {
  let count = 0
  /** Bytes of the line that are as in TASK_LINE; -1 from the first that is not. */
  let matched = 0
  for await (const chunk of createReadStream(path)) {
    for (const byte of chunk as Uint8Array) {
      if (byte === NEWLINE) matched = 0
      else if (matched >= 0) matched = byte === TASK_LINE[matched] ? matched + 1 : -1
      if (matched === TASK_LINE.length) count += 1
    }
  }
  return count
}
