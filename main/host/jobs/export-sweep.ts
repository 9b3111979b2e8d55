/**
 * Starts the worker pool for the tasks of a plan and runs them on it with a bounded number in flight, from files or from memory that the device worker filled.
 * Every task runs exactly once, whoever offers its bytes first; what it returns is collected for report and receipt.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../../engine/checkpoint/checkpoint.ts'
import type {
  ExportPlan,
  ExportTask,
  PlannedTensor,
  QuantizeMember,
} from '../../engine/pipeline/export-plan.ts'
import { searchesAlone } from '../../engine/quant/nvfp4-static/search-scope.ts'
import type {
  DeadWeight,
  OutputPlace,
  SourceBytes,
  TaskResult,
  WorkerMember,
  WorkerTask,
} from '../../workers/export-protocol.ts'
import { largestTaskMemory } from '../../workers/task-memory.ts'
import { resolveFold, type ResolvedFold } from '../../engine/smoothing/fold-values.ts'
import type { SmoothingVectors, TensorFold } from '../../engine/smoothing/smoothing.ts'
import type { WorkerPool } from '../pool/worker-pool.ts'
import { taskSources } from './task-sources.ts'
import { SourceHashes, TensorHashes } from './tensor-hashes.ts'

/** How soon a stop is noticed while every worker is busy. */
const STOP_POLL_MS = 100

/** A source range that lies in shared memory. */
export interface MemoryRange {
  readonly shardIndex: number
  readonly offsetBytes: number
  readonly sizeBytes: number
  readonly buffer: SharedArrayBuffer
  readonly bufferOffsetBytes: number
}

export interface ExportSweepOptions {
  readonly plan: ExportPlan
  readonly pool: WorkerPool
  /** Open files by shard index. */
  readonly sourceDescriptors: readonly number[]
  readonly outputDescriptors: readonly number[]
  readonly maxInFlight: number
  readonly isCancelled: () => boolean
  /** Results of tasks that an earlier, unfinished run has journalled, by task index. */
  readonly finished: ReadonlyMap<number, TaskResult>
  /** Called for finished tasks too, with `result` undefined. */
  readonly onTaskDone: (task: ExportTask, sourceBytes: number, result: TaskResult | undefined) => void
}

export class ExportSweep {
  readonly hashes: TensorHashes
  readonly sources: SourceHashes
  private readonly unsortedDeadWeights: DeadWeight[] = []
  bytesRead = 0
  bytesWritten = 0
  /** To be set before the first task with a fold is run. */
  vectors: SmoothingVectors | undefined
  /** Whether an earlier attempt has written a tensor with a fold. */
  hasWrittenFolded = false
  private readonly options: ExportSweepOptions
  /** 1 for tasks that were started or that an earlier run has finished. */
  private readonly isStarted: Uint8Array
  /** Tasks of the layer that units are coming from. */
  private layer: { readonly index: number; readonly tasks: readonly ExportTask[] } | undefined
  /** By task index. */
  private readonly inFlight = new Map<number, Promise<void>>()
  /** First failure of any task; a finished promise leaves `inFlight`, its failure must not leave with it. */
  private failure: AppError | undefined

  constructor(options: ExportSweepOptions) {
    this.options = options
    options.pool.start(largestTaskMemory(this.allWorkerTasks()))
    this.hashes = new TensorHashes(options.plan.tensors.length)
    this.sources = new SourceHashes(options.plan.tasks.length)
    this.isStarted = new Uint8Array(options.plan.tasks.length)
    if (options.finished.size > 0) this.skipFinished()
  }

  /** Runs every task that no unit offered yet, in plan order, reading from files. */
  async runRemaining(): Promise<void> {
    await this.startFromFiles(this.options.plan.tasks)
    await this.waitUntil(() => this.inFlight.size === 0)
  }

  /** Runs some of the tasks now, reading from files, unless they were started before; resolves when all of them are done. */
  async runNow(tasks: readonly ExportTask[]): Promise<void> {
    await this.startFromFiles(tasks)
    await this.waitUntil(() => !tasks.some(({ taskIndex }) => this.inFlight.has(taskIndex)))
  }

  /** Runs the tasks of a layer whose bytes all lie in `ranges`; resolves when they are done and the memory may be reused. */
  async runFromMemory(layerIndex: number, ranges: readonly MemoryRange[]): Promise<void> {
    const sorted = [...ranges].sort((a, b) => a.shardIndex - b.shardIndex || a.offsetBytes - b.offsetBytes)
    const started: Promise<void>[] = []
    for (const task of this.tasksOfLayer(layerIndex)) {
      if (this.isStarted[task.taskIndex] === 1) continue
      const places = new Map<TensorSlice, SourceBytes>()
      for (const slice of taskSources(task)) {
        const place = findRange(sorted, slice)
        if (place !== undefined) places.set(slice, place)
      }
      if (places.size !== taskSources(task).length) continue
      this.isStarted[task.taskIndex] = 1
      await this.waitForRoom()
      started.push(this.start(task, (slice) => places.get(slice) ?? this.fromFile(slice)))
    }
    await Promise.all(started)
  }

  private async startFromFiles(tasks: Iterable<ExportTask>): Promise<void> {
    for (const task of tasks) {
      if (this.isStarted[task.taskIndex] === 1) continue
      this.isStarted[task.taskIndex] = 1
      await this.waitForRoom()
      void this.start(task, (slice) => this.fromFile(slice))
    }
  }

  private *allWorkerTasks(): Generator<WorkerTask> {
    for (const task of this.options.plan.tasks) yield this.toWorkerTask(task, (slice) => this.fromFile(slice))
  }

  private skipFinished(): void {
    for (const task of this.options.plan.tasks) {
      const earlier = this.options.finished.get(task.taskIndex)
      if (earlier === undefined) continue
      this.isStarted[task.taskIndex] = 1
      this.hasWrittenFolded ||= hasFold(task)
      this.collect(task, { ...earlier, bytesRead: 0, bytesWritten: 0 })
      this.options.onTaskDone(task, sourceBytes(task), undefined)
    }
  }

  private tasksOfLayer(layerIndex: number): readonly ExportTask[] {
    if (this.layer?.index !== layerIndex) {
      this.layer = { index: layerIndex, tasks: [...this.options.plan.tasksOfLayer(layerIndex)] }
    }
    return this.layer.tasks
  }

  private waitForRoom(): Promise<void> {
    return this.waitUntil(() => this.inFlight.size < this.options.maxInFlight)
  }

  /** A stop does not wait for tasks: a large tensor on a slow disk takes longer than a person does, and a task may end at any byte. */
  private async waitUntil(isReached: () => boolean): Promise<void> {
    do {
      if (this.failure !== undefined) throw this.failure
      if (this.options.isCancelled()) throw cancelled()
      if (isReached()) return
      await Promise.race([...this.inFlight.values(), sleep(STOP_POLL_MS, undefined, { ref: false })])
    } while (true)
  }

  private start(task: ExportTask, locate: (slice: TensorSlice) => SourceBytes): Promise<void> {
    invariant(
      this.vectors !== undefined || !hasFold(task),
      'a tensor was to be written before its vectors were found',
    )
    const done = this.options.pool.run(this.toWorkerTask(task, locate)).then((result) => {
      this.collect(task, result)
      this.options.onTaskDone(task, sourceBytes(task), result)
    })
    const tracked = done.finally(() => this.inFlight.delete(task.taskIndex))
    this.inFlight.set(task.taskIndex, tracked)
    tracked.catch((error: unknown) => {
      this.failure ??= AppError.from(error)
    })
    return tracked
  }

  /** By name: tasks finish in any order, reports of equal runs are equal. */
  get deadWeights(): readonly DeadWeight[] {
    return [...this.unsortedDeadWeights].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  private collect({ taskIndex }: ExportTask, result: TaskResult): void {
    this.sources.set(taskIndex, result.sources)
    for (const { tensor, sha256 } of result.hashes) this.hashes.set(tensor, sha256)
    this.unsortedDeadWeights.push(...result.deadWeights)
    this.bytesRead += result.bytesRead
    this.bytesWritten += result.bytesWritten
  }

  private toWorkerTask(task: ExportTask, locate: (slice: TensorSlice) => SourceBytes): WorkerTask {
    if (task.kind === 'copy') {
      const { source, convertTo, table } = task
      return {
        kind: 'copy',
        sourceName: source.name,
        source: locate(source),
        dtype: source.dtype,
        output: this.place(task.output),
        convertTo,
        columns: matrixColumns(task),
        table,
        fold: this.resolveFold(task.fold, source),
      }
    }
    const members = task.members.map((member) => this.toWorkerMember(member, locate))
    const { profile } = this.options.plan
    const modules = task.members.map(({ module }) => module)
    const isAlone = searchesAlone(task.format, profile, modules)
    return { kind: 'quantize', format: task.format, profile, searchesAlone: isAlone, members }
  }

  private toWorkerMember(member: QuantizeMember, locate: (slice: TensorSlice) => SourceBytes): WorkerMember {
    const [rows = 1, cols = 1] = member.source.shape
    return {
      sourceName: member.source.name,
      source: locate(member.source),
      dtype: member.source.dtype,
      rows,
      cols,
      weight: this.place(member.weight),
      weightScale: this.place(member.weightScale),
      weightScale2: member.weightScale2 === undefined ? undefined : this.place(member.weightScale2),
      weightShape: member.weightShape === undefined ? undefined : this.place(member.weightShape),
      fused: member.fused,
      fold: this.resolveFold(member.fold, member.source),
    }
  }

  /** undefined before the vectors are known: how much memory tasks need does not depend on them. */
  private resolveFold(fold: TensorFold | undefined, { name, shape }: TensorSlice): ResolvedFold | undefined {
    if (fold === undefined || this.vectors === undefined) return undefined
    const resolved = resolveFold(fold, this.vectors, shape)
    invariant(resolved !== undefined, `${name} has no smoothing vector of its size`)
    return resolved
  }

  private place(tensor: PlannedTensor): OutputPlace {
    return {
      name: tensor.name,
      index: tensor.index,
      descriptor: this.options.outputDescriptors[tensor.shardIndex] ?? -1,
      offsetBytes: tensor.offsetBytes,
      sizeBytes: tensor.sizeBytes,
      transform: tensor.transform,
    }
  }

  private fromFile(slice: TensorSlice): SourceBytes {
    return {
      kind: 'file',
      descriptor: this.options.sourceDescriptors[slice.shardIndex] ?? -1,
      offsetBytes: slice.offsetBytes,
      sizeBytes: slice.sizeBytes,
    }
  }
}

function hasFold(task: ExportTask): boolean {
  const parts: readonly { readonly fold?: TensorFold | undefined }[] =
    task.kind === 'copy' ? [task] : task.members
  return parts.some(({ fold }) => fold !== undefined)
}

export function cancelled(): AppError {
  return new AppError('CANCELLED', {
    subject: 'run',
    problem: 'it was cancelled',
    remedy: 'continue it with --resume',
  })
}

function sourceBytes(task: ExportTask): number {
  return taskSources(task).reduce((sum, slice) => sum + slice.sizeBytes, 0)
}

/** Of the matrix that a packed weight stands for: whichever side is not in 32-bit words has a column each. */
function matrixColumns({ source, output }: Extract<ExportTask, { kind: 'copy' }>): number | undefined {
  return (source.dtype === 'I32' ? output : source).shape[1]
}

/** The range that holds the whole slice, found by binary search over ranges sorted by shard and offset. */
function findRange(sorted: readonly MemoryRange[], slice: TensorSlice): SourceBytes | undefined {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    const range = sorted[middle]
    const isBefore =
      range !== undefined &&
      (range.shardIndex < slice.shardIndex ||
        (range.shardIndex === slice.shardIndex && range.offsetBytes <= slice.offsetBytes))
    if (isBefore) low = middle + 1
    else high = middle
  }
  const range = sorted[low - 1]
  if (range?.shardIndex !== slice.shardIndex) return undefined
  if (slice.offsetBytes + slice.sizeBytes > range.offsetBytes + range.sizeBytes) return undefined
  return {
    kind: 'memory',
    buffer: range.buffer,
    offsetBytes: range.bufferOffsetBytes + slice.offsetBytes - range.offsetBytes,
    sizeBytes: slice.sizeBytes,
  }
}
