/** A plan as people see it before a run: sizes, memory, engines, warnings. Pure. */
import { elementCount } from '../../../shared/domain/dtype.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import type { FormatBytes, PlanSummary } from '../../../shared/domain/plan-summary.ts'
import { engineVerdicts } from '../export/engine-verdicts.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { CalibrationChoice } from '../recipes/calibration-choice.ts'
import { calibrationDemand, type CalibrationSize } from './calibration-demand.ts'
import type { ExportPlan, QuantizeMember } from './export-plan.ts'

export interface PlanMachine extends CalibrationSize {
  readonly calibration?: CalibrationChoice | undefined
  readonly freeDiskBytes?: number | undefined
  readonly workers: number
}

const MIB = 1024 * 1024
/** Node with the engine loaded, measured in tens of MiB, rounded up. */
const BASE_BYTES = 160 * MIB
/** A worker without its buffers. */
const WORKER_BYTES = 48 * MIB
/** Largest source of a task that a worker keeps whole; larger ones are streamed (see workers/task-memory.ts). */
const RESIDENT_LIMIT_BYTES = 192 * MIB
/** Plan objects and names per output tensor, header included. */
const TENSOR_BYTES = 800
/** Bytes per second that reading, quantizing and writing are assumed to reach together, per worker and at most. */
const WORKER_RATE = 150_000_000
const MAX_RATE = 1_000_000_000

/** `machine.workers` = export threads. Times are given for data-free plans only: nothing is known of a calibration's speed beforehand. */
export function summarisePlan(plan: ExportPlan, model: MoeModel, machine: PlanMachine): PlanSummary {
  const needsCalibration = plan.calibrationSites.length > 0
  const rate = Math.min(MAX_RATE, WORKER_RATE * Math.max(1, machine.workers))
  return {
    recipe: plan.recipeName,
    profile: plan.profile,
    dialect: plan.dialect ?? 'modelopt',
    kvCache: plan.kvCache,
    sourceBytes: plan.sourceBytes,
    outputBytes: plan.outputBytes,
    bitsPerWeight: bitsPerWeight(plan),
    byFormat: bytesByFormat(plan),
    shards: plan.shards.map(({ fileName, sizeBytes }) => ({ fileName, sizeBytes })),
    tensorCount: plan.tensors.length,
    needsCalibration,
    calibrationSiteCount: plan.calibrationSites.length,
    calibration: needsCalibration ? machine.calibration : undefined,
    smoothing: plan.smoothing && {
      method: plan.smoothing.method.kind,
      rewrittenCount: plan.smoothing.rewrittenCount,
      leftAlone: plan.smoothing.leftAlone,
    },
    peakMemoryBytes: peakMemory(plan, model, machine),
    scratchBytes: calibrationDemand(model.text, machine, needsCalibration).diskBytes,
    freeDiskBytes: machine.freeDiskBytes,
    estimatedDurationMs: needsCalibration ? undefined : Math.ceil((plan.sourceBytes / rate) * 1000),
    engines: engineVerdicts(plan, model),
    warnings: warnings(plan, model, machine),
  }
}

/** Stored bits for each weight of the source, over the whole model: quantized or not, scales included. Two decimals. */
function bitsPerWeight(plan: ExportPlan): number {
  let weights = 0
  for (const task of plan.tasks) {
    if (task.kind === 'copy') weights += elementCount(task.source.shape)
    else for (const { source } of task.members) weights += elementCount(source.shape)
  }
  const bytes = plan.tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return weights === 0 ? 0 : Math.round((bytes * 800) / weights) / 100
}

/** Sums equal the bytes of all tensors; activation scales count to the format of their module, KV scales to `kv_cache`. */
function bytesByFormat(plan: ExportPlan): readonly FormatBytes[] {
  const sums = new Map<string, { tensorCount: number; sourceBytes: number; outputBytes: number }>()
  const add = (format: string, tensorCount: number, sourceBytes: number, outputBytes: number): void => {
    const sum = sums.get(format) ?? { tensorCount: 0, sourceBytes: 0, outputBytes: 0 }
    sum.tensorCount += tensorCount
    sum.sourceBytes += sourceBytes
    sum.outputBytes += outputBytes
    sums.set(format, sum)
  }
  const formatOf = new Map<string, string>()
  for (const task of plan.tasks) {
    if (task.kind === 'copy') {
      add('unquantized', 1, task.source.sizeBytes, task.output.sizeBytes)
      continue
    }
    for (const member of task.members) {
      formatOf.set(member.module, task.format.format)
      add(task.format.format, 1, member.source.sizeBytes, memberBytes(member))
    }
  }
  for (const { output, owner } of plan.activationScales) {
    const isInput = owner?.kind === 'input'
    add((isInput ? formatOf.get(owner.module) : undefined) ?? 'kv_cache', 0, 0, output.sizeBytes)
  }
  return [...sums].map(([format, sum]) => ({ format, ...sum }))
}

function memberBytes({ weight, weightScale, weightScale2, weightShape }: QuantizeMember): number {
  const others = (weightScale2?.sizeBytes ?? 0) + (weightShape?.sizeBytes ?? 0)
  return weight.sizeBytes + weightScale.sizeBytes + others
}

function peakMemory(plan: ExportPlan, model: MoeModel, machine: PlanMachine): number {
  let largestTask = 0
  const layerBytes = new Map<number, number>()
  for (const task of plan.tasks) {
    const sources = task.kind === 'copy' ? [task.source] : task.members.map(({ source }) => source)
    const bytes = sources.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    if (task.kind === 'quantize') largestTask = Math.max(largestTask, bytes)
    if (task.layerIndex !== undefined) {
      layerBytes.set(task.layerIndex, (layerBytes.get(task.layerIndex) ?? 0) + bytes)
    }
  }
  // Source and encoded output of one task; the output is at most as large as the source.
  const worker = WORKER_BYTES + 2 * Math.min(largestTask, RESIDENT_LIMIT_BYTES)
  const exporting = BASE_BYTES + plan.tensors.length * TENSOR_BYTES + Math.max(1, machine.workers) * worker
  const { memoryBytes } = calibrationDemand(model.text, machine, plan.calibrationSites.length > 0)
  if (memoryBytes === 0) return Math.ceil(exporting)
  // Calibration holds the weights of one layer while they are on their way to the device.
  const layer = Math.max(0, ...layerBytes.values())
  return Math.ceil(exporting + layer + memoryBytes)
}

function warnings(plan: ExportPlan, model: MoeModel, machine: PlanMachine): readonly string[] {
  const { freeDiskBytes } = machine
  const { diskBytes } = calibrationDemand(model.text, machine, plan.calibrationSites.length > 0)
  const neededBytes = plan.outputBytes + diskBytes
  const list = model.problems.map(({ subject, message }) => `${subject}: ${message}`)
  if (freeDiskBytes !== undefined && freeDiskBytes < neededBytes) {
    const [needed, free] = [neededBytes, freeDiskBytes].map((bytes) => formatBytes(bytes, 'en'))
    list.push(`disk: the export needs ${needed ?? ''}, ${free ?? ''} are free`)
  }
  if (plan.formats.size === 0) list.push('recipe: no weight is quantized')
  return list
}
