/**
 * Between calibration and export of a recipe that rescales input channels: finds the vectors layer by layer on the export workers, keeping
 * each finished layer. Reads the weights it is about twice; holds the vectors, and of weights what the workers have in hand.
 */
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import { readFully } from '../../engine/io/node/read-fully.ts'
import type {
  ExportPlan,
  ExportTask,
  PlannedSmoothing,
  QuantizeMember,
} from '../../engine/pipeline/export-plan.ts'
import { requireChannels } from '../../engine/smoothing/channel-inputs.ts'
import { storableVector } from '../../engine/smoothing/fold-values.ts'
import { mergeRecords, type SmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'
import { byteView } from '../../engine/tensor/byte-view.ts'
import { widenToF32, type FloatSource } from '../../engine/tensor/widen.ts'
import type { MeasuredMember, MeasureTask, PoolResult } from '../../workers/export-protocol.ts'
import type { WorkerPool } from '../pool/worker-pool.ts'
import { cancelled } from '../jobs/export-sweep.ts'
import { digest } from '../jobs/journal.ts'
import type { JobObserver } from '../jobs/job-observer.ts'
import { searchLayer } from './layer-search.ts'
import { lostRecord, SmoothingStore } from './smoothing-store.ts'

export interface SmoothingSearch {
  readonly plan: ExportPlan
  readonly smoothing: PlannedSmoothing
  readonly stats: CalibrationStats
  readonly pool: Pick<WorkerPool, 'run'>
  readonly maxInFlight: number
  /** Open source files by shard index. */
  readonly descriptors: readonly number[]
  /** `quantmill` of the partial folder. */
  readonly folder: string
  /** An earlier attempt has written tensors with the vectors it found. */
  readonly hasWritten: boolean
  readonly observer: Pick<JobObserver, 'isCancelled' | 'layerActive' | 'log'>
}

/** Throws CANCELLED, AMAX_MISSING, JOURNAL_INVALID for vectors that were lost, and what the workers throw. */
export async function searchSmoothing(search: SmoothingSearch): Promise<SmoothingRecord> {
  const { plan, smoothing, stats, hasWritten, observer } = search
  if (!hasWritten) requireChannels(stats, smoothing.groups)
  const store = new SmoothingStore(search.folder)
  const layers = [...new Set(smoothing.groups.map(({ layerIndex }) => layerIndex))]
  observer.log('info', `looking for ${smoothing.method.kind} scales of ${String(layers.length)} layers`)
  const records: SmoothingRecord[] = []
  const run = boundedRun(search)
  for (const layerIndex of layers) {
    observer.layerActive(layerIndex)
    const statistics = digestOf(search, layerIndex)
    const kept = await store.load(layerIndex)
    const isSame = Buffer.from(kept?.statistics ?? []).equals(statistics)
    if (kept !== undefined && (hasWritten || isSame) && isComplete(search, layerIndex, kept)) {
      records.push(kept)
      continue
    }
    if (hasWritten) throw lostRecord(layerIndex)
    const tasks = [...plan.tasksOfLayer(layerIndex)]
    const found = await searchLayer(
      {
        smoothing,
        stats,
        tasks,
        run,
        toMember: (member) => measuredMember(member, search.descriptors),
        makeStorable: (key, scales) => makeStorable(search, tasks, key, scales),
      },
      layerIndex,
    )
    await store.save(layerIndex, { ...found, statistics })
    records.push(found)
  }
  await store.sync()
  return mergeRecords(records)
}

function isComplete(
  { smoothing }: SmoothingSearch,
  layerIndex: number,
  { vectors }: SmoothingRecord,
): boolean {
  return smoothing.groups
    .filter((group) => group.layerIndex === layerIndex)
    .every(({ key, width, copies }) => vectors.get(key)?.length === width * copies)
}

/** Of everything a layer's vectors are made from but its weights, whose files the run's identity is about. */
function digestOf({ smoothing, stats }: SmoothingSearch, layerIndex: number): Uint8Array {
  const parts: (string | Uint8Array)[] = [JSON.stringify(smoothing.method)]
  const layer = `.layers.${String(layerIndex)}.`
  for (const [site, { amax, meanAbs }] of stats.channels) {
    if (site.includes(layer)) parts.push(site, byteView(amax), byteView(meanAbs))
  }
  for (const [experts, tokens] of stats.expertTokens) {
    if (experts.includes(layer)) parts.push(experts, tokens.join())
  }
  return new Uint8Array(Buffer.from(digest(...parts), 'hex'))
}

/** Runs a task when there is room, in the order of asking; a stop ends the search with the task that was under way. */
function boundedRun({
  pool,
  maxInFlight,
  observer,
}: SmoothingSearch): <T extends MeasureTask>(task: T) => Promise<PoolResult<T>> {
  let runningCount = 0
  const waiting: (() => void)[] = []
  return async (task) => {
    if (runningCount < maxInFlight) runningCount += 1
    // Whoever ends hands its place over.
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      if (observer.isCancelled()) throw cancelled()
      return await pool.run(task)
    } finally {
      const next = waiting.shift()
      if (next === undefined) runningCount -= 1
      else next()
    }
  }
}

function measuredMember({ source }: QuantizeMember, descriptors: readonly number[]): MeasuredMember {
  const [rows = 1, cols = 1] = source.shape
  const { name, dtype, shardIndex, offsetBytes, sizeBytes } = source
  const descriptor = descriptors[shardIndex] ?? -1
  return { sourceName: name, dtype, rows, cols, source: { kind: 'file', descriptor, offsetBytes, sizeBytes } }
}

/** What is folded into a norm is what that norm can store; anything else takes any vector. */
function makeStorable(
  { descriptors }: SmoothingSearch,
  tasks: readonly ExportTask[],
  key: string,
  scales: Float32Array,
): Float32Array {
  const norm = tasks.find((task) => task.kind === 'copy' && task.fold?.norm?.key === key)
  if (norm?.kind !== 'copy') return scales
  const { name, dtype, shardIndex, offsetBytes, sizeBytes } = norm.source
  invariant(isFloat(dtype), `${name} is ${dtype}, not a float`)
  const bytes = new Uint8Array(sizeBytes)
  readFully(descriptors[shardIndex] ?? -1, bytes, offsetBytes, name)
  const weights = new Float32Array(scales.length)
  if (widenToF32(dtype, bytes, weights) >= 0) {
    throw new AppError('WEIGHT_NOT_FINITE', {
      subject: name,
      problem: 'the norm holds a NaN or an infinity',
      remedy: 'get an undamaged copy of the checkpoint',
    })
  }
  return storableVector(norm.convertTo ?? dtype, weights, scales)
}

function isFloat(dtype: string): dtype is FloatSource {
  return dtype === 'BF16' || dtype === 'F16' || dtype === 'F32'
}
