/**
 * Finds the smoothing vectors of one layer: reads its quantized weights twice, once for the magnitudes of their columns and once, for every
 * candidate, to see how far rounding moves them. Sums are added up in plan order, so that any number of workers finds the same vectors.
 *
 * AWQ-lite takes the candidate with the least estimated error of all outputs that read the channels,
 *   sum over j of E[x_j²] · sum over i of (Ŵ_ij / s_j − W_ij)²,
 * the first of equal ones. Unlike ModelOpt, which runs the calibration data through every linear once more for every candidate, this needs
 * only the statistics of the channels and takes them as uncorrelated. SmoothQuant takes its one vector, whatever the error.
 */
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { PlannedSmoothing, QuantizeMember } from '../../engine/pipeline/export-plan.ts'
import type { ExportTask } from '../../engine/pipeline/export-plan.ts'
import type { ModuleFormat } from '../../engine/quant/formats.ts'
import { needsTensorAmax } from '../../engine/quant/layout.ts'
import { awqCandidates, type AwqCandidate } from '../../engine/smoothing/awq-scales.ts'
import {
  channelInputs,
  inputSquares,
  siteOfModule,
  smoothedAmax,
  type ChannelInputs,
} from '../../engine/smoothing/channel-inputs.ts'
import type { SmoothingEstimate, SmoothingGroup } from '../../engine/smoothing/smoothing.ts'
import type { SmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'
import { smoothquantScales } from '../../engine/smoothing/smoothquant-scales.ts'
import { roundToBf16 } from '../../engine/tensor/bf16.ts'
import type {
  MeasuredMember,
  MeasureTask,
  PoolResult,
  WeightChannels,
} from '../../workers/export-protocol.ts'

type QuantizeTask = Extract<ExportTask, { kind: 'quantize' }>

export interface LayerSearch {
  readonly smoothing: PlannedSmoothing
  readonly stats: CalibrationStats
  /** Of the layer. */
  readonly tasks: readonly ExportTask[]
  readonly run: <T extends MeasureTask>(task: T) => Promise<PoolResult<T>>
  readonly toMember: (member: QuantizeMember) => MeasuredMember
  /** What the norm of a group can hold of a vector. */
  readonly makeStorable: (key: string, scales: Float32Array) => Float32Array
}

interface Found {
  readonly scales: Float32Array
  readonly estimate: SmoothingEstimate
}

/** Throws what the workers throw, and AMAX_MISSING. */
export async function searchLayer(search: LayerSearch, layerIndex: number): Promise<SmoothingRecord> {
  const groups = search.smoothing.groups.filter((group) => group.layerIndex === layerIndex)
  const readers = readersByVector(search.tasks)
  const vectors = new Map<string, Float32Array>()
  const estimates = new Map<string, readonly SmoothingEstimate[]>()
  await Promise.all(
    groups.map(async (group) => {
      const { key, width, copies } = group
      const found = await Promise.all(
        Array.from({ length: copies }, (_, copy) =>
          findVector(search, group, copy, readers.get(vectorName(key, copy)) ?? []),
        ),
      )
      const vector = new Float32Array(copies * width)
      for (const [copy, { scales }] of found.entries()) vector.set(scales, copy * width)
      vectors.set(key, search.makeStorable(key, vector))
      estimates.set(
        key,
        found.map(({ estimate }) => estimate),
      )
    }),
  )
  const inOrder = <T>(map: ReadonlyMap<string, T>): Map<string, T> =>
    new Map(groups.flatMap(({ key }) => [...map].filter(([name]) => name === key)))
  return { vectors: inOrder(vectors), estimates: inOrder(estimates) }
}

function readersByVector(tasks: readonly ExportTask[]): ReadonlyMap<string, readonly QuantizeTask[]> {
  const readers = new Map<string, QuantizeTask[]>()
  for (const task of tasks) {
    const columns = task.kind === 'quantize' ? task.members[0]?.fold?.columns : undefined
    if (task.kind !== 'quantize' || columns === undefined) continue
    const name = vectorName(columns.key, columns.copy)
    readers.set(name, [...(readers.get(name) ?? []), task])
  }
  return readers
}

function vectorName(key: string, copy: number): string {
  return `${key} ${String(copy)}`
}

async function findVector(
  search: LayerSearch,
  { site, width }: SmoothingGroup,
  copy: number,
  tasks: readonly QuantizeTask[],
): Promise<Found> {
  const inputs = channelInputs(search.stats, site, copy, width)
  const [first] = tasks
  // Nothing is known of the inputs of an expert without tokens.
  if (inputs.rowCount === 0 || first === undefined) return untouched(width)
  const channels = await Promise.all(tasks.map((task) => search.run(channelTask(search, task))))
  const candidates = makeCandidates(search.smoothing, inputs, channels)
  const { errors, reference } = await measureCandidates(search, tasks, channels, candidates)
  const best = search.smoothing.method.kind === 'smoothquant' ? candidates.length - 1 : indexOfLeast(errors)
  const relative = (index: number): number =>
    reference > 0 ? Math.sqrt((errors[index] ?? 0) / reference) : 0
  const { scales, alpha } = candidates[best] ?? { scales: new Float32Array(width).fill(1), alpha: Number.NaN }
  return { scales, estimate: { alpha, errorWithout: relative(0), errorWith: relative(best) } }
}

function untouched(width: number): Found {
  const estimate = { alpha: Number.NaN, errorWithout: 0, errorWith: 0 }
  return { scales: new Float32Array(width).fill(1), estimate }
}

function channelTask(
  { toMember }: LayerSearch,
  { members, format }: QuantizeTask,
): Extract<MeasureTask, { kind: 'weight_channels' }> {
  return { kind: 'weight_channels', blockSize: format.blockSize, members: members.map(toMember) }
}

/** s = 1 first. */
function makeCandidates(
  { method }: PlannedSmoothing,
  inputs: ChannelInputs,
  channels: readonly WeightChannels[],
): readonly AwqCandidate[] {
  const { length } = inputs.meanAbs
  if (method.kind === 'smoothquant') {
    const weights = Float32Array.from({ length }, (_, column) =>
      channels.reduce((most, { amax }) => Math.max(most, amax[column] ?? 0), 0),
    )
    return [
      { alpha: Number.NaN, scales: new Float32Array(length).fill(1) },
      { alpha: method.alpha, scales: smoothquantScales(method.alpha, inputs.amax, weights) },
    ]
  }
  const rows = channels.reduce((sum, { rowCount }) => sum + rowCount, 0)
  const shares = Float64Array.from({ length }, (_, column) =>
    channels.reduce((sum, of) => sum + (of.shares[column] ?? 0), 0),
  )
  return awqCandidates(
    method.alphaStep,
    inputs.meanAbs,
    shares.map((share) => share / rows),
  )
}

/** Squared errors of all readers by candidate. */
async function measureCandidates(
  search: LayerSearch,
  tasks: readonly QuantizeTask[],
  channels: readonly WeightChannels[],
  candidates: readonly AwqCandidate[],
): Promise<{ readonly errors: Float64Array; readonly reference: number }> {
  const measured = await Promise.all(
    tasks.map(async (task, index) => {
      const { site, copy } = siteOfModule(task.members[0]?.module ?? '')
      const amax = channels[index]?.amax ?? new Float32Array(0)
      const inputs = channelInputs(search.stats, site, copy, amax.length)
      // An expert that no token reached adds nothing, whatever becomes of it.
      if (inputs.rowCount === 0) return undefined
      const result = await search.run({
        kind: 'rounding_errors',
        format: task.format,
        members: task.members.map(search.toMember),
        candidates: candidates.map(({ scales }) => scales),
        tensorAmaxes: candidates.map(({ scales }) => tensorAmax(task.format, amax, scales)),
        inputSquares: inputSquares(inputs),
      } as const)
      const rounding = candidates.map(({ scales }) => inputRounding(task.format, inputs, scales))
      const errors = result.errors.map(
        (error, candidate) => error + (rounding[candidate] ?? 0) * (result.energies[candidate] ?? 0),
      )
      return { errors, reference: result.reference }
    }),
  )
  const errors = new Float64Array(candidates.length)
  let reference = 0
  for (const part of measured) {
    if (part === undefined) continue
    reference += part.reference
    for (const [candidate, error] of part.errors.entries())
      errors[candidate] = (errors[candidate] ?? 0) + error
  }
  return { errors, reference }
}

/** Of the members after their columns were multiplied; 1 for members of zeros, as the export takes it. */
function tensorAmax(format: ModuleFormat, amax: Float32Array, scales: Float32Array): number {
  if (!needsTensorAmax(format.format)) return 0
  const largest = amax.reduce((most, value, column) => Math.max(most, value * (scales[column] ?? 1)), 0)
  return largest === 0 ? 1 : roundToBf16(largest)
}

/**
 * Squared error of an INT8 input, of one channel and added up over the rows: a step of amax / 127 is wrong by a twelfth of its square on
 * average. Floats are relative to the value, and smoothing changes little about their error.
 */
function inputRounding(
  { format }: ModuleFormat,
  { amax, rowCount }: ChannelInputs,
  scales: Float32Array,
): number {
  if (format !== 'int8_sq') return 0
  const step = smoothedAmax(amax, scales) / 127
  return (rowCount * step * step) / 12
}

function indexOfLeast(values: Float64Array): number {
  let least = 0
  for (const [index, value] of values.entries()) if (value < (values[least] ?? 0)) least = index
  return least
}
