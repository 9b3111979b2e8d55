/**
 * The open shards of a source. A run reads each of them once and for hours, so whether they stayed what they were is checked when the last task
 * that reads a shard is done, and again before the export is sealed: size and modification time of the open file, the same file still under its
 * name, and the bytes of its header.
 */
import { createHash } from 'node:crypto'
import { readSync } from 'node:fs'
import { open, stat, type FileHandle } from 'node:fs/promises'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ShardHeader } from '../../engine/formats/safetensors/entry.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { ExportTask } from '../../engine/pipeline/export-plan.ts'
import { taskSources } from './task-sources.ts'

interface Facts {
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly inode: number
  readonly header: string
}

interface SourceShard {
  readonly fileName: string
  readonly path: string
  readonly handle: FileHandle
  readonly headerBytes: number
  readonly facts: Facts
}

export class SourceFiles {
  private readonly shards: readonly SourceShard[]
  /** Tasks that still have to read from a shard, by shard index. */
  private readonly waiting: Int32Array
  private readonly checks = new Set<Promise<void>>()
  private failure: AppError | undefined

  private constructor(shards: readonly SourceShard[], tasks: Iterable<ExportTask>) {
    this.shards = shards
    this.waiting = new Int32Array(shards.length)
    for (const task of tasks) for (const index of shardsOf(task)) this.waiting[index] = this.left(index) + 1
  }

  /** Throws SOURCE_CHANGED when a shard is not what was opened before, READ_FAILED, PERMISSION_DENIED. */
  static async open(
    headers: readonly ShardHeader[],
    pathOf: (fileName: string) => string,
    tasks: Iterable<ExportTask>,
  ): Promise<SourceFiles> {
    const shards: SourceShard[] = []
    try {
      for (const header of headers) shards.push(await openShard(header, pathOf(header.fileName)))
      return new SourceFiles(shards, tasks)
    } catch (error: unknown) {
      await Promise.all(shards.map(({ handle }) => handle.close()))
      throw error
    }
  }

  get descriptors(): readonly number[] {
    return this.shards.map(({ handle }) => handle.fd)
  }

  /** Checks a shard once its last task is done. Throws what an earlier check has found, so that the run ends soon. */
  taskDone(task: ExportTask): void {
    if (this.failure !== undefined) throw this.failure
    for (const index of shardsOf(task)) {
      const left = this.left(index) - 1
      this.waiting[index] = left
      const shard = this.shards[index]
      if (left === 0 && shard !== undefined) this.checkSoon(shard)
    }
  }

  /** Checks every shard. Throws SOURCE_CHANGED. */
  async checkAll(): Promise<void> {
    await Promise.all(this.checks)
    for (const shard of this.shards) await check(shard)
  }

  async close(): Promise<void> {
    await Promise.all(this.checks)
    await Promise.all(this.shards.map(({ handle }) => handle.close()))
  }

  private left(index: number): number {
    return this.waiting[index] ?? 0
  }

  private checkSoon(shard: SourceShard): void {
    const checking = check(shard)
      .catch((error: unknown) => {
        this.failure ??= AppError.from(error)
      })
      .finally(() => this.checks.delete(checking))
    this.checks.add(checking)
  }
}

function shardsOf(task: ExportTask): ReadonlySet<number> {
  return new Set(taskSources(task).map(({ shardIndex }) => shardIndex))
}

async function openShard(header: ShardHeader, path: string): Promise<SourceShard> {
  const { fileName, fileSizeBytes, dataStartBytes } = header
  try {
    const handle = await open(path, 'r')
    try {
      const facts = await factsOf(handle, dataStartBytes)
      if (facts.sizeBytes !== fileSizeBytes) {
        throw changed(fileName, `it had ${String(fileSizeBytes)} bytes and has ${String(facts.sizeBytes)}`)
      }
      return { fileName, path, handle, headerBytes: dataStartBytes, facts }
    } catch (error: unknown) {
      await handle.close()
      throw error
    }
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

async function check({ fileName, path, handle, headerBytes, facts }: SourceShard): Promise<void> {
  const now = await factsOf(handle, headerBytes).catch((error: unknown) => {
    throw fromFsError(error, fileName, 'read')
  })
  if (now.sizeBytes !== facts.sizeBytes) {
    throw changed(fileName, `it had ${String(facts.sizeBytes)} bytes and has ${String(now.sizeBytes)}`)
  }
  if (now.header !== facts.header) throw changed(fileName, 'its header is another one')
  if (now.modifiedMs !== facts.modifiedMs) {
    throw changed(fileName, `it was written at ${new Date(now.modifiedMs).toISOString()}`)
  }
  const named = await stat(path).catch(() => undefined)
  if (named?.ino !== facts.inode) throw changed(fileName, 'another file has its name now')
}

async function factsOf(handle: FileHandle, headerBytes: number): Promise<Facts> {
  const { size, mtimeMs, ino } = await handle.stat()
  const bytes = new Uint8Array(Math.min(headerBytes, size))
  let done = 0
  while (done < bytes.length) {
    const count = readSync(handle.fd, bytes, done, bytes.length - done, done)
    if (count === 0) break // shorter than it was a moment ago, which its size will say
    done += count
  }
  const header = createHash('sha256').update(bytes).digest('hex')
  return { sizeBytes: size, modifiedMs: mtimeMs, inode: ino, header }
}

function changed(fileName: string, how: string): AppError {
  return new AppError('SOURCE_CHANGED', {
    subject: fileName,
    problem: `the file changed while it was being read: ${how}`,
    remedy: 'let nothing write to the checkpoint during a run, then start again',
  })
}
