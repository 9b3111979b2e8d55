/**
 * Writes an export that is made of another one: planned copies go through the worker pool into a partial folder, scalars and files follow,
 * and the finished folder appears by renaming. Whatever ends it early leaves nothing behind.
 */
import { open, readFile, stat, type FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { fromFsError } from '../../engine/io/node/fs-error.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import { ExportSweep } from '../jobs/export-sweep.ts'
import { freeDiskBytes } from '../jobs/free-disk.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import {
  createPartial,
  createShard,
  publish,
  syncFolder,
  removePartial,
  type OutputFolder,
} from '../jobs/output-folder.ts'
import type { TensorHashes } from '../jobs/tensor-hashes.ts'
import { closeAll } from '../jobs/work-folder.ts'
import { WorkerPool } from '../pool/worker-pool.ts'

export interface RewriteObserver {
  progress(doneBytes: number, totalBytes: number): void
  isCancelled(): boolean
  /** Something that failed after the export was complete. */
  warn?(message: string): void
}

export interface Rewrite {
  readonly plan: ExportPlan
  /** Files that the plan's tasks read, by shard index. */
  readonly sourcePaths: readonly string[]
  readonly output: OutputFolder
  readonly environment: JobEnvironment
  readonly workerCount: number
  readonly observer: RewriteObserver
  /** Writes tensors that no task writes. */
  readonly writeScalars: (targets: readonly FileHandle[], hashes: TensorHashes) => void
  /** Writes every other file; the tensors are durable. Throwing means that nothing is published. */
  readonly writeFiles: (hashes: TensorHashes) => Promise<void>
}

const TASKS_AHEAD_PER_WORKER = 3

/** Returns the bytes read from `sourcePaths`. Throws DISK_FULL before anything is created; CANCELLED and environment errors. */
export async function rewriteExport(rewrite: Rewrite): Promise<number> {
  await checkDisk(rewrite.output, rewrite.plan.outputBytes)
  try {
    await createPartial(rewrite.output)
    return await write(rewrite)
  } catch (error: unknown) {
    await removePartial(rewrite.output)
    throw AppError.from(error)
  }
}

async function write(rewrite: Rewrite): Promise<number> {
  const { plan, sourcePaths, output, environment, workerCount } = rewrite
  const sources: FileHandle[] = []
  const targets: FileHandle[] = []
  const kernels = await readFile(environment.kernelsFile)
  const pool = new WorkerPool({ workerCount, workerFile: environment.exportWorkerFile, kernels })
  try {
    for (const path of sourcePaths) sources.push(await openSource(path))
    for (const { fileName, sizeBytes, header } of plan.shards)
      targets.push(await createShard(join(output.partialPath, fileName), sizeBytes, header))
    const sweep = makeSweep(rewrite, pool, sources, targets)
    await sweep.runRemaining()
    rewrite.writeScalars(targets, sweep.hashes)
    for (const target of targets) await target.sync()
    await rewrite.writeFiles(sweep.hashes)
    await syncFolder(output.partialPath)
    for (const warning of await publish(output)) rewrite.observer.warn?.(warning)
    return sweep.bytesRead
  } finally {
    await pool.close()
    await closeAll([...sources, ...targets])
  }
}

function makeSweep(
  { plan, observer, workerCount }: Rewrite,
  pool: WorkerPool,
  sources: readonly FileHandle[],
  targets: readonly FileHandle[],
): ExportSweep {
  let doneBytes = 0
  return new ExportSweep({
    plan,
    pool,
    sourceDescriptors: sources.map(({ fd }) => fd),
    outputDescriptors: targets.map(({ fd }) => fd),
    finished: new Map(),
    maxInFlight: workerCount * TASKS_AHEAD_PER_WORKER,
    isCancelled: () => observer.isCancelled(),
    onTaskDone: (_, sourceBytes) => {
      doneBytes += sourceBytes
      observer.progress(doneBytes, plan.sourceBytes)
    },
  })
}

/** Throws CHECKPOINT_NOT_FOUND for anything but a folder. */
export async function assertExportFolder(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory() === true) return
  throw new AppError('CHECKPOINT_NOT_FOUND', {
    subject: path,
    problem: stats === undefined ? 'there is no such folder' : 'this is not a folder',
    remedy: 'give the folder of an export',
  })
}

async function openSource(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r')
  } catch (error: unknown) {
    throw fromFsError(error, path, 'read')
  }
}

async function checkDisk(output: OutputFolder, neededBytes: number): Promise<void> {
  const freeBytes = await freeDiskBytes(dirname(output.finalPath))
  if (freeBytes === undefined || freeBytes >= neededBytes) return
  throw new AppError('DISK_FULL', {
    subject: dirname(output.finalPath),
    problem: `the export needs ${formatBytes(neededBytes, 'en')}, ${formatBytes(freeBytes, 'en')} are free`,
    remedy: 'free some space or choose another output folder',
  })
}
