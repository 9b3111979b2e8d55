/**
 * What weights say about smoothing vectors: magnitudes of their columns, and how far rounding moves them when the columns are multiplied
 * first. Rounding is that of the export, on the same kernels. Streams in chunks of rows; the same task gives the same numbers anywhere.
 */
import { AppError, invariant } from '../../shared/errors/app-error.ts'
import type { KernelArena } from '../engine/kernels/wasm/kernel-arena.ts'
import { decodeMatrix } from '../engine/quant/decode-matrix.ts'
import type { ModuleFormat } from '../engine/quant/formats.ts'
import { storedParts, storedSizesBytes } from '../engine/quant/layout.ts'
import { f32ToBf16 } from '../engine/tensor/bf16.ts'
import { widenToF32 } from '../engine/tensor/widen.ts'
import type {
  MeasuredMember,
  MeasureResult,
  MeasureTask,
  RoundingErrors,
  WeightChannels,
} from './export-protocol.ts'
import { readSourceBytes } from './read-source.ts'
import { align8, ROW_GRANULE, storedElementBytes } from './task-memory.ts'

/** BF16 bytes of a chunk; four times that are in memory as f32. */
const CHUNK_BYTES = 4 * 1024 * 1024

/** Throws WEIGHT_NOT_FINITE, READ_FAILED, SOURCE_CHANGED, BLOCK_SIZE_UNSUPPORTED. */
export function measureWeights(arena: KernelArena, task: MeasureTask): MeasureResult {
  return task.kind === 'weight_channels' ? weightChannels(task) : roundingErrors(arena, task)
}

function weightChannels({
  members,
  blockSize,
}: Extract<MeasureTask, { kind: 'weight_channels' }>): WeightChannels {
  const columnCount = members[0]?.cols ?? 0
  const amax = new Float32Array(columnCount)
  const shares = new Float64Array(columnCount)
  let rowCount = 0
  forEachChunk(members, (weights, rows) => {
    rowCount += rows
    for (let row = 0; row < rows; row += 1) {
      addRow(
        weights.subarray(row * columnCount, (row + 1) * columnCount),
        blockSize ?? columnCount,
        amax,
        shares,
      )
    }
  })
  return { kind: 'weight_channels', amax, shares, rowCount }
}

function addRow(row: Float32Array, blockSize: number, amax: Float32Array, shares: Float64Array): void {
  for (let first = 0; first < row.length; first += blockSize) {
    const end = Math.min(row.length, first + blockSize)
    let largest = 0
    for (let column = first; column < end; column += 1) {
      const magnitude = Math.abs(row[column] ?? 0)
      if (magnitude > largest) largest = magnitude
      if (magnitude > (amax[column] ?? 0)) amax[column] = magnitude
    }
    if (largest === 0) continue
    for (let column = first; column < end; column += 1) {
      shares[column] = (shares[column] ?? 0) + Math.abs(row[column] ?? 0) / largest
    }
  }
}

function roundingErrors(
  arena: KernelArena,
  task: Extract<MeasureTask, { kind: 'rounding_errors' }>,
): RoundingErrors {
  const { members, candidates, inputSquares } = task
  const columnCount = members[0]?.cols ?? 0
  const errors = new Float64Array(candidates.length)
  const energies = new Float64Array(candidates.length)
  let reference = 0
  forEachChunk(members, (weights, rows) => {
    for (let at = 0; at < weights.length; at += 1) {
      const weight = weights[at] ?? 0
      reference += (inputSquares[at % columnCount] ?? 0) * weight * weight
    }
    for (const [index, scales] of candidates.entries()) {
      const rounded = roundScaled(arena, task.format, weights, rows, scales, task.tensorAmaxes[index] ?? 0)
      const { error, energy } = weighErrors(weights, rounded, scales, inputSquares)
      errors[index] = (errors[index] ?? 0) + error
      energies[index] = (energies[index] ?? 0) + energy
    }
  })
  return { kind: 'rounding_errors', errors, energies, reference }
}

/** Sums over values of whole rows: squared errors times what the channels' inputs weigh, and squares of the rounded values. */
function weighErrors(
  weights: Float32Array,
  rounded: Float32Array,
  scales: Float32Array,
  inputSquares: Float64Array,
): { readonly error: number; readonly energy: number } {
  let error = 0
  let energy = 0
  for (let at = 0, column = 0; at < weights.length; at += 1) {
    const value = rounded[at] ?? 0
    const difference = value / (scales[column] ?? 1) - (weights[at] ?? 0)
    error += (inputSquares[column] ?? 0) * difference * difference
    energy += value * value
    column = column + 1 === scales.length ? 0 : column + 1
  }
  return { error, energy }
}

/** Values of the stored matrix after its columns were multiplied: f32 [rows · columns]. */
function roundScaled(
  arena: KernelArena,
  format: ModuleFormat,
  weights: Float32Array,
  rows: number,
  scales: Float32Array,
  tensorAmax: number,
): Float32Array {
  const cols = weights.length / rows
  const [weightBytes = 0, scaleBytes = 0] = storedSizesBytes(storedParts(format, rows, cols))
  const scaleOffset = align8(weightBytes)
  arena.reserve(weights.length * 2, scaleOffset + align8(scaleBytes))
  const patterns = new Uint16Array(weights.length)
  for (let at = 0, column = 0; at < weights.length; at += 1) {
    patterns[at] = f32ToBf16((weights[at] ?? 0) * (scales[column] ?? 1))
    column = column + 1 === cols ? 0 : column + 1
  }
  arena.input().set(new Uint8Array(patterns.buffer))
  const { weightScale2 } = arena.encode(
    format,
    { inputOffsetBytes: 0, rows, cols, tensorAmax },
    { weightOffsetBytes: 0, weightScaleOffsetBytes: scaleOffset },
  )
  const output = arena.output()
  return decodeMatrix(format, {
    rows,
    cols,
    weight: output.subarray(0, weightBytes),
    weightScale: output.subarray(scaleOffset, scaleOffset + scaleBytes),
    weightScale2,
  })
}

/** Every member, some rows at a time, as f32; chunks end where tiles do. */
function forEachChunk(
  members: readonly MeasuredMember[],
  visit: (weights: Float32Array, rows: number) => void,
): void {
  for (const member of members) {
    const { dtype, rows: rowCount, cols, sourceName } = member
    invariant(
      dtype === 'BF16' || dtype === 'F16' || dtype === 'F32',
      `${sourceName} is ${dtype}, not a float`,
    )
    const rowBytes = cols * storedElementBytes(dtype)
    const atOnce = Math.max(ROW_GRANULE, Math.floor(CHUNK_BYTES / (2 * cols) / ROW_GRANULE) * ROW_GRANULE)
    for (let row = 0; row < rowCount; row += atOnce) {
      const rows = Math.min(atOnce, rowCount - row)
      const bytes = new Uint8Array(rows * rowBytes)
      readSourceBytes(member, row * rowBytes, bytes)
      const weights = new Float32Array(rows * cols)
      if (widenToF32(dtype, bytes, weights) >= 0) throw notFinite(sourceName)
      visit(weights, rows)
    }
  }
}

export function notFinite(name: string): AppError {
  return new AppError('WEIGHT_NOT_FINITE', {
    subject: name,
    problem: 'the weight holds a NaN or an infinity, from which no scale can be made',
    remedy: 'get an undamaged copy of the checkpoint',
  })
}
