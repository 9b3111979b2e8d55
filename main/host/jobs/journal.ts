/**
 * journal.jsonl of an unfinished run: one line with the run's identity, then one line per finished task or kept calibration state. A line
 * counts only when the bytes it vouches for are durable: shards are synced before the lines are appended, and the journal after. A torn last
 * line is the mark of a kill and is dropped; anything else that does not parse is refused.
 */
import { createHash } from 'node:crypto'
import { open, readFile, stat, truncate, type FileHandle } from 'node:fs/promises'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import { DEAD_OUTCOMES, type DeadWeight, type TaskResult } from '../../workers/export-protocol.ts'
import { readBoundaryRecord, type BoundaryRecord } from './boundary-record.ts'

export const JOURNAL_NAME = 'journal.jsonl'
/** CWE-770: a 397B export has about 100,000 tasks of some 500 bytes. */
const MAX_JOURNAL_BYTES = 1024 * 1024 * 1024
/** One entry of some 120 characters for every source shard. */
const MAX_HEAD_BYTES = 1024 * 1024
/** Between commits at least this, and at least this many times the length of the last one: a slow disk is not asked for more than 5 %. */
const SHORTEST_INTERVAL_MS = 200
const INTERVAL_OVER_COMMIT = 20

/** Differences told with their values; the rest by name. */
const MAX_DESCRIBED = 4
const DIGEST = /^[0-9a-f]{64}$/

/** What a run is; two runs with equal identity write equal bytes. Values are digests or small facts, keys name what differs. */
export type RunIdentity = Readonly<Record<string, string>>

export interface TaskRecord {
  readonly task: number
  readonly result: TaskResult
}

export class Journal {
  private readonly handle: FileHandle
  private readonly syncOutputs: () => Promise<void>
  private pending: TaskRecord[] = []
  private committing: Promise<void> = Promise.resolve()
  private nextCommitMs = performance.now() + SHORTEST_INTERVAL_MS
  private isCommitting = false
  /** Final: after a failed sync the system may call the pages clean, so a second one could vouch for bytes that are nowhere. */
  private failure: AppError | undefined

  private constructor(handle: FileHandle, syncOutputs: () => Promise<void>) {
    this.handle = handle
    this.syncOutputs = syncOutputs
  }

  /** Starts a new journal. `syncOutputs` makes everything written so far durable. */
  static async create(
    path: string,
    identity: RunIdentity,
    syncOutputs: () => Promise<void>,
  ): Promise<Journal> {
    try {
      const handle = await open(path, 'wx', 0o644)
      try {
        await handle.appendFile(`${JSON.stringify({ schema: 1, identity })}\n`)
        await handle.datasync()
        return new Journal(handle, syncOutputs)
      } catch (error: unknown) {
        await handle.close()
        throw error
      }
    } catch (error: unknown) {
      throw fromFsError(error, path, 'write')
    }
  }

  /** Continues a journal that readJournal has accepted: cuts the torn end, appends from there. */
  static async reopen(path: string, validBytes: number, syncOutputs: () => Promise<void>): Promise<Journal> {
    try {
      await truncate(path, validBytes)
      return new Journal(await open(path, 'a'), syncOutputs)
    } catch (error: unknown) {
      throw fromFsError(error, path, 'write')
    }
  }

  /**
   * Remembers a finished task; it reaches the disk with the next commit, which is due as long as tasks keep coming. Throws what a commit
   * has failed with, so that a run on a broken disk ends now and not after its last task.
   */
  record(record: TaskRecord): void {
    if (this.failure !== undefined) throw this.failure
    this.pending.push(record)
    if (this.isCommitting || performance.now() < this.nextCommitMs) return
    void this.commit().catch(() => undefined) // kept in `failure`; whoever calls next is told
  }

  /** Makes a calibration state count. Its file must be durable. Throws WRITE_FAILED, DISK_FULL. */
  recordBoundary(boundary: BoundaryRecord): Promise<void> {
    this.committing = this.committing.then(() => this.append([{ boundary }]))
    return this.committing
  }

  /** Makes every recorded task count. Throws WRITE_FAILED, DISK_FULL. */
  commit(): Promise<void> {
    this.committing = this.committing.then(() => this.writePending())
    return this.committing
  }

  async close(): Promise<void> {
    await this.committing.catch(() => undefined)
    await this.handle.close()
  }

  private async append(lines: readonly object[], syncBefore?: () => Promise<void>): Promise<void> {
    try {
      await syncBefore?.()
      await this.handle.appendFile(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
      await this.handle.datasync()
    } catch (error: unknown) {
      this.failure = fromFsError(error, JOURNAL_NAME, 'write')
      throw this.failure
    }
  }

  private async writePending(): Promise<void> {
    const records = this.pending
    this.pending = [] // before the sync: a task that ends during it is for the next commit
    if (records.length === 0) return
    this.isCommitting = true
    const startedMs = performance.now()
    try {
      await this.append(records, this.syncOutputs)
    } finally {
      this.isCommitting = false
    }
    const nowMs = performance.now()
    this.nextCommitMs = nowMs + Math.max(SHORTEST_INTERVAL_MS, INTERVAL_OVER_COMMIT * (nowMs - startedMs))
  }
}

export interface ReadJournal {
  readonly identity: RunIdentity
  readonly tasks: ReadonlyMap<number, TaskResult>
  /** Calibration states, newest first; of each file the last. */
  readonly boundaries: readonly BoundaryRecord[]
  /** Length of the part that can be trusted. */
  readonly validBytes: number
}

/** Reads a journal; undefined when there is none or not even its first line is complete. Throws JOURNAL_INVALID, READ_FAILED, PERMISSION_DENIED. */
export async function readJournal(path: string): Promise<ReadJournal | undefined> {
  const bytes = await readBounded(path)
  if (bytes === undefined) return undefined
  const validBytes = bytes.lastIndexOf(0x0a) + 1
  const lines = bytes.subarray(0, validBytes).toString('utf8').split('\n').slice(0, -1)
  const [head, ...rest] = lines
  if (head === undefined) return undefined
  const identity = readIdentity(path, parseLine(path, head, 1))
  const tasks = new Map<number, TaskResult>()
  const boundaries = new Map<string, BoundaryRecord>()
  for (const [index, line] of rest.entries()) {
    const value = parseLine(path, line, index + 2)
    const record = readRecord(value)
    const boundary = isRecord(value) ? readBoundaryRecord(value['boundary']) : undefined
    if (record !== undefined) tasks.set(record.task, record.result)
    else if (boundary !== undefined) {
      boundaries.delete(boundary.file) // so that it comes last
      boundaries.set(boundary.file, boundary)
    } else throw invalid(path, `line ${String(index + 2)} is not the record of a task`)
  }
  return { identity, tasks, boundaries: [...boundaries.values()].reverse(), validBytes }
}

/** Identity alone, from the first line; undefined when that is not complete. Throws JOURNAL_INVALID and what the file system says. */
export async function readJournalHead(path: string): Promise<RunIdentity | undefined> {
  try {
    const handle = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(MAX_HEAD_BYTES), 0, MAX_HEAD_BYTES, 0)
      const end = buffer.subarray(0, bytesRead).indexOf(0x0a)
      if (end === -1 && bytesRead === MAX_HEAD_BYTES) throw invalid(path, 'its first line has no end')
      if (end === -1) return undefined
      return readIdentity(path, parseLine(path, Buffer.from(buffer.buffer, 0, end).toString('utf8'), 1))
    } finally {
      await handle.close()
    }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

/** undefined only when there is no file: whoever hears that starts anew and removes what is there. */
async function readBounded(path: string): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path)
    if (size > MAX_JOURNAL_BYTES) throw invalid(path, `it has ${String(size)} bytes`)
    return await readFile(path)
  } catch (error: unknown) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw fromFsError(error, path, 'read')
  }
}

/** Throws RESUME_MISMATCH naming everything that differs, with both values where a person can read them. */
export function checkIdentity(path: string, found: RunIdentity, expected: RunIdentity): void {
  const keys = [...new Set([...Object.keys(found), ...Object.keys(expected)])].sort()
  const different = keys.filter((key) => found[key] !== expected[key])
  if (different.length === 0) return
  throw new AppError('RESUME_MISMATCH', {
    subject: path,
    problem: `the unfinished run is another one: ${different.join(', ')} changed${describe(different, found, expected)}`,
    remedy: 'give the same source, recipe, options and data, or start again with --overwrite',
  })
}

function describe(keys: readonly string[], found: RunIdentity, expected: RunIdentity): string {
  const readable = keys.filter((key) => !DIGEST.test(found[key] ?? '') && !DIGEST.test(expected[key] ?? ''))
  return readable
    .slice(0, MAX_DESCRIBED)
    .map((key) => `; ${key} was ${found[key] ?? 'not there'}, is ${expected[key] ?? 'not there'}`)
    .join('')
}

export function digest(...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest('hex')
}

function parseLine(path: string, line: string, number: number): unknown {
  try {
    return JSON.parse(line) as unknown
  } catch {
    throw invalid(path, `line ${String(number)} is not JSON`)
  }
}

function readIdentity(path: string, value: unknown): RunIdentity {
  const identity = isRecord(value) && value['schema'] === 1 ? value['identity'] : undefined
  if (!isRecord(identity)) throw invalid(path, 'its first line does not say which run it belongs to')
  const entries = Object.entries(identity).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  return Object.fromEntries(entries)
}

function readRecord(value: unknown): TaskRecord | undefined {
  if (!isRecord(value) || !isRecord(value['result']) || !Number.isSafeInteger(value['task'])) return undefined
  const { hashes, sources = [], deadWeights, bytesRead, bytesWritten } = value['result']
  const isHash = (item: unknown): item is { tensor: number; sha256: string } =>
    isRecord(item) && Number.isSafeInteger(item['tensor']) && /^[0-9a-f]{64}$/.test(String(item['sha256']))
  const isDead = (item: unknown): item is DeadWeight =>
    isRecord(item) &&
    typeof item['name'] === 'string' &&
    DEAD_OUTCOMES.some((outcome) => outcome === item['outcome'])
  if (
    !Array.isArray(hashes) ||
    !hashes.every(isHash) ||
    !isDigestList(sources) ||
    !Array.isArray(deadWeights) ||
    !deadWeights.every(isDead)
  ) {
    return undefined
  }
  const counts = { bytesRead: Number(bytesRead), bytesWritten: Number(bytesWritten) }
  const result = { hashes, sources, deadWeights, ...counts }
  return { task: Number(value['task']), result }
}

function isDigestList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string' && DIGEST.test(item))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function invalid(path: string, problem: string): AppError {
  return new AppError('JOURNAL_INVALID', { subject: path, problem, remedy: 'start again with --overwrite' })
}
