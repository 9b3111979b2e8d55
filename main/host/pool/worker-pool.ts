/**
 * Pool of export workers. Each worker has one task at a time; results do not depend on which worker ran what. A worker that dies is
 * replaced and its task repeated (tasks are idempotent: they write fixed bytes at fixed offsets); the third death in a row ends the run, and so
 * does a task that three workers died of, however well the others do.
 */
import { Worker } from 'node:worker_threads'
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type {
  ExportWorkerData,
  MeasureResult,
  PoolResult,
  PoolTask,
  TaskMemory,
  TaskReply,
  TaskResult,
} from '../../workers/export-protocol.ts'

const MAX_DEATHS = 3
/** JavaScript heap of a worker; tensors live in the kernels' memory, which this does not bound. */
const WORKER_LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 128 } as const

interface Pending {
  readonly task: PoolTask
  readonly resolve: (result: TaskResult | MeasureResult) => void
  readonly reject: (error: AppError) => void
  deaths: number
}

interface Slot {
  worker: Worker
  current: Pending | undefined
}

export interface WorkerPoolOptions {
  readonly workerCount: number
  /** Built worker script. */
  readonly workerFile: string
  readonly kernels: Uint8Array
}

export class WorkerPool {
  private readonly slots: Slot[] = []
  private readonly queue: Pending[] = []
  private readonly options: WorkerPoolOptions
  private deathsInARow = 0
  private seq = 0
  private failure: AppError | undefined
  private isClosing = false

  private memory: TaskMemory = { inputBytes: 0, outputBytes: 0 }

  constructor(options: WorkerPoolOptions) {
    this.options = options
  }

  /** Starts the workers; each claims that much memory before its first task. To be called once, before `run`. */
  start(memory: TaskMemory): void {
    invariant(this.slots.length === 0, 'the workers were started already')
    this.memory = memory
    for (let index = 0; index < this.options.workerCount; index += 1) {
      const slot: Slot = { worker: this.spawn(), current: undefined }
      this.attach(slot)
      this.slots.push(slot)
    }
  }

  /** Tasks given but not finished. The caller bounds this number; the pool itself queues without limit. */
  get pendingCount(): number {
    return this.queue.length + this.slots.filter((slot) => slot.current !== undefined).length
  }

  run<T extends PoolTask>(task: T): Promise<PoolResult<T>> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure)
        return
      }
      // A worker answers a task with its own kind of result; messages carry no types.
      const answer = (result: TaskResult | MeasureResult): void => {
        resolve(result as PoolResult<T>)
      }
      this.queue.push({ task, resolve: answer, reject, deaths: 0 })
      this.dispatch()
    })
  }

  /** Ends all workers; unfinished tasks are rejected with CANCELLED. Idempotent. Safe at any time: these threads never run ONNX Runtime. */
  async close(): Promise<void> {
    this.isClosing = true
    this.failAll(
      new AppError('CANCELLED', {
        subject: 'export',
        problem: 'the run was stopped',
        remedy: 'start it again',
      }),
    )
    await Promise.all(this.slots.map((slot) => slot.worker.terminate()))
  }

  private spawn(): Worker {
    const data: ExportWorkerData = { kernels: this.options.kernels, memory: this.memory }
    return new Worker(this.options.workerFile, {
      workerData: data,
      env: {},
      execArgv: [],
      stdout: false,
      resourceLimits: WORKER_LIMITS,
    })
  }

  private attach(slot: Slot): void {
    const { worker } = slot
    worker.on('message', (reply: TaskReply) => {
      const pending = slot.current
      slot.current = undefined
      this.deathsInARow = 0
      if (reply.ok) pending?.resolve(reply.result)
      else pending?.reject(AppError.revive(reply.error))
      this.dispatch()
    })
    let reason = 'unknown reason'
    worker.on('error', (error: Error) => {
      reason = error.message
    })
    worker.on('exit', (exitCode) => {
      if (!this.isClosing) this.replace(slot, `${reason}, exit code ${String(exitCode)}`)
    })
  }

  private replace(slot: Slot, reason: string): void {
    this.deathsInARow += 1
    const deaths = slot.current === undefined ? 0 : (slot.current.deaths += 1)
    if (Math.max(this.deathsInARow, deaths) >= MAX_DEATHS) {
      const who =
        deaths >= MAX_DEATHS
          ? `${String(deaths)} workers died of the same task`
          : `${String(MAX_DEATHS)} workers died in a row`
      this.failAll(
        new AppError('WORKER_CRASHED', {
          subject: slot.current === undefined ? 'export worker' : subjectOf(slot.current.task),
          problem: `${who} (${reason})`,
          remedy: 'look at the job log and free memory, then continue the run',
        }),
      )
      return
    }
    if (slot.current !== undefined) this.queue.unshift(slot.current)
    slot.current = undefined
    slot.worker = this.spawn()
    this.attach(slot)
    this.dispatch()
  }

  private dispatch(): void {
    for (const slot of this.slots) {
      if (slot.current !== undefined) continue
      const pending = this.queue.shift()
      if (pending === undefined) return
      slot.current = pending
      slot.worker.postMessage({ seq: (this.seq += 1), task: pending.task })
    }
  }

  private failAll(error: AppError): void {
    this.failure = error
    for (const slot of this.slots) {
      slot.current?.reject(error)
      slot.current = undefined
    }
    for (const pending of this.queue.splice(0)) pending.reject(error)
  }
}

function subjectOf(task: PoolTask): string {
  return task.kind === 'copy' ? task.sourceName : (task.members[0]?.sourceName ?? 'export worker')
}
