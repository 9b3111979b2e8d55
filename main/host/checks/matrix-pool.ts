/**
 * Threads that compare matrices of an export with their source. Started as they are needed; each has one matrix at a time and reads for itself.
 * A thread that dies ends the check: it has written nothing, and the matrix in which it died would most likely end the next as well.
 */
import { Worker } from 'node:worker_threads'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../../engine/checkpoint/checkpoint.ts'
import type { MatrixComparer, MatrixComparison, MatrixTask } from '../../engine/verify/compare-matrix.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import type {
  ComparedFolder,
  MatrixMessage,
  MatrixReply,
  VerifyWorkerData,
} from '../../workers/verify-protocol.ts'

/** A thread holds two caches of 40 MiB and a chunk of some 20 MiB. */
const MAX_WORKERS = 8
/** JavaScript heap of a thread; what it reads and decodes lies outside. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 128 } as const

interface Pending {
  readonly task: MatrixTask
  readonly resolve: (comparison: MatrixComparison) => void
  readonly reject: (error: AppError) => void
}

interface Slot {
  readonly worker: Worker
  current: Pending | undefined
}

export interface MatrixPoolOptions {
  /** Built worker script. */
  readonly workerFile: string
  /** At most 8 are used. */
  readonly workerCount: number
  /** After each matrix: bytes of it and of its source. */
  readonly onRead?: ((sizeBytes: number) => void) | undefined
}

export class MatrixPool implements MatrixComparer {
  readonly parallelCount: number
  private readonly workerCount: number
  private readonly options: MatrixPoolOptions
  private readonly data: VerifyWorkerData
  private readonly slots: Slot[] = []
  private readonly queue: Pending[] = []
  private failure: AppError | undefined
  private isClosing = false

  constructor(options: MatrixPoolOptions, exported: Checkpoint, source: Checkpoint) {
    this.options = options
    this.workerCount = Math.min(MAX_WORKERS, options.workerCount)
    this.parallelCount = this.workerCount + 1
    this.data = { exported: comparedFolder(exported), source: comparedFolder(source) }
  }

  /** Throws READ_FAILED, SAFETENSORS_TRUNCATED, WORKER_CRASHED. */
  compare(task: MatrixTask): Promise<MatrixComparison> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure)
        return
      }
      this.queue.push({ task, resolve, reject })
      this.dispatch()
    })
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.isClosing = true
    await Promise.all(this.slots.map(({ worker }) => worker.terminate()))
  }

  private dispatch(): void {
    const slot = this.slots.find(({ current }) => current === undefined) ?? this.startWorker()
    const pending = slot === undefined ? undefined : this.queue.shift()
    if (slot === undefined || pending === undefined) return
    slot.current = pending
    const message: MatrixMessage = { task: pending.task }
    slot.worker.postMessage(message)
  }

  private startWorker(): Slot | undefined {
    if (this.slots.length >= this.workerCount) return undefined
    const worker = new Worker(this.options.workerFile, {
      workerData: this.data,
      env: {},
      execArgv: [],
      resourceLimits: WORKER_LIMITS,
    })
    const slot: Slot = { worker, current: undefined }
    worker.on('message', (reply: MatrixReply) => {
      const pending = slot.current
      slot.current = undefined
      if (pending !== undefined) this.answer(pending, reply)
      this.dispatch()
    })
    let reason = 'unknown reason'
    worker.on('error', (error: Error) => {
      reason = error.message
    })
    worker.on('exit', (exitCode) => {
      if (!this.isClosing) this.fail(`${reason}, exit code ${String(exitCode)}`)
    })
    this.slots.push(slot)
    return slot
  }

  private answer({ task, resolve, reject }: Pending, reply: MatrixReply): void {
    if (!reply.ok) {
      reject(AppError.revive(reply.error))
      return
    }
    const parts = task.stored.parts.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0)
    this.options.onRead?.(parts + task.original.sizeBytes)
    resolve(reply.comparison)
  }

  private fail(reason: string): void {
    this.failure ??= new AppError('WORKER_CRASHED', {
      subject: 'verify',
      problem: `a thread that compares weights ended (${reason})`,
      remedy: 'start it again',
    })
    const waiting = [...this.queue.splice(0), ...this.slots.flatMap(({ current }) => current ?? [])]
    for (const { reject } of waiting) reject(this.failure)
  }
}

function comparedFolder({ folder, shards }: Checkpoint): ComparedFolder {
  return {
    path: folder.displayPath,
    shards: shards.map(({ fileName, fileSizeBytes }) => ({ fileName, fileSizeBytes })),
  }
}

/** Who compares, where a build has the script for it; undefined = the verifying thread. */
export function comparerMaker(
  { verifyWorkerFile, cpuCount }: Pick<JobEnvironment, 'verifyWorkerFile' | 'cpuCount'>,
  workerCount = cpuCount,
  onRead?: (sizeBytes: number) => void,
): ((exported: Checkpoint, source: Checkpoint) => MatrixComparer) | undefined {
  if (verifyWorkerFile === undefined) return undefined
  const options = { workerFile: verifyWorkerFile, workerCount, onRead }
  return (exported, source) => new MatrixPool(options, exported, source)
}
