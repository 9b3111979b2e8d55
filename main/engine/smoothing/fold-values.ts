/**
 * Rewrites the stored values of a tensor by smoothing vectors, in place. Products are taken in f64 and rounded once to f32 and then to the
 * tensor's own dtype, ties to even.
 */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { f32ToBf16 } from '../tensor/bf16.ts'
import { f32ToF16 } from '../tensor/f16.ts'
import { widenToF32, type FloatSource } from '../tensor/widen.ts'
import { vectorOf, type SmoothingVectors, type TensorFold, type VectorRef } from './smoothing.ts'

/** Elements that are widened at once: a whole tensor as f32 would be memory that nobody has counted. */
const PIECE_ELEMENTS = 1 << 18

/** A TensorFold with its vectors. */
export interface ResolvedFold {
  /** f32 [columns] */
  readonly columns?: Float32Array | undefined
  /** f32 [rows] */
  readonly rows?: Float32Array | undefined
  /** f32 [elements] */
  readonly norm?: Float32Array | undefined
}

/** `shape` = [rows, columns] of a matrix, [elements] of a norm. undefined when a vector is missing or has another length. */
export function resolveFold(
  fold: TensorFold,
  vectors: SmoothingVectors,
  shape: readonly number[],
): ResolvedFold | undefined {
  const [rows = 0, columns = 0] = shape
  if (fold.norm !== undefined && shape.length !== 1) return undefined
  const find = (ref: VectorRef | undefined, width: number): Float32Array | undefined =>
    ref && vectorOf(vectors, ref, width)
  const fits = (ref: VectorRef | undefined, vector: Float32Array | undefined, width: number): boolean =>
    ref === undefined || vector?.length === width
  const resolved = {
    columns: find(fold.columns, columns),
    rows: find(fold.rows, rows),
    norm: find(fold.norm, rows),
  }
  const isWhole =
    fits(fold.columns, resolved.columns, columns) &&
    fits(fold.rows, resolved.rows, rows) &&
    fits(fold.norm, resolved.norm, rows)
  return isWhole ? resolved : undefined
}

/**
 * Folds whole elements of a tensor, `bytes` beginning at element `firstElement`; `columnCount` = its last dimension. A matrix: W · columns / rows.
 * A norm: (1 + w) / norm − 1. NaN and infinities stay what they are; a product beyond the dtype's range becomes infinite.
 */
export function foldInPlace(
  dtype: FloatSource,
  bytes: Uint8Array,
  fold: ResolvedFold,
  columnCount: number,
  firstElement: number,
): void {
  const itemBytes = dtype === 'F32' ? 4 : 2
  for (let from = 0; from < bytes.length; from += PIECE_ELEMENTS * itemBytes) {
    const piece = bytes.subarray(from, from + PIECE_ELEMENTS * itemBytes)
    const values = new Float32Array(piece.length / itemBytes)
    widenToF32(dtype, piece, values)
    const first = firstElement + from / itemBytes
    if (fold.norm === undefined) foldMatrix(values, fold, columnCount, first)
    else foldNorm(values, fold.norm, first)
    writeValues(dtype, values, piece)
  }
}

/** Bytes of `tensor` from byte `from` on, folded; `bytes` themselves where the dtype is none of floats. */
export function foldedCopy(
  { dtype, shape }: Pick<TensorSlice, 'dtype' | 'shape'>,
  fold: ResolvedFold,
  from: number,
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  if (dtype !== 'BF16' && dtype !== 'F16' && dtype !== 'F32') return bytes
  const folded = bytes.slice()
  foldInPlace(dtype, folded, fold, shape[1] ?? 1, from / (dtype === 'F32' ? 4 : 2))
  return folded
}

function foldMatrix(
  values: Float32Array,
  { columns, rows }: ResolvedFold,
  columnCount: number,
  firstElement: number,
): void {
  let column = firstElement % columnCount
  let row = (firstElement - column) / columnCount
  for (let index = 0; index < values.length; row += 1, column = 0) {
    const divisor = rows?.[row] ?? 1
    for (; column < columnCount && index < values.length; column += 1, index += 1) {
      values[index] = ((values[index] ?? 0) * (columns?.[column] ?? 1)) / divisor
    }
  }
}

function foldNorm(values: Float32Array, norm: Float32Array, firstElement: number): void {
  for (let index = 0; index < values.length; index += 1) {
    values[index] = foldedNorm(values[index] ?? 0, norm[firstElement + index] ?? 1)
  }
}

/** w of a zero-centred norm whose outputs are divided by `scale`, (1 + w) / s − 1 in f64, ordered so that s = 1 leaves the smallest w alone. */
export function foldedNorm(weight: number, scale: number): number {
  return (weight + (1 - scale)) / scale
}

function writeValues(dtype: FloatSource, values: Float32Array, bytes: Uint8Array): void {
  if (dtype === 'F32') {
    bytes.set(new Uint8Array(values.buffer))
    return
  }
  const patterns = new Uint16Array(values.length)
  const round = dtype === 'BF16' ? f32ToBf16 : f32ToF16
  for (let index = 0; index < patterns.length; index += 1) patterns[index] = round(values[index] ?? 0)
  bytes.set(new Uint8Array(patterns.buffer))
}

/** Value nearest to `value` in the dtype, as a number. */
export function roundTo(dtype: FloatSource, value: number): number {
  const values = Float32Array.of(value)
  if (dtype === 'F32') return values[0] ?? 0
  const bytes = new Uint8Array(2)
  writeValues(dtype, values, bytes)
  widenToF32(dtype, bytes, values)
  return values[0] ?? 0
}

/**
 * The vector that a stored norm can take: w' is rounded to the norm's dtype first, and the columns then make up for what it became,
 * s = (1 + w) / (1 + w'). Without this a large s leaves 1 + w' near zero, where a rounded w' is wrong by whole percents: every channel
 * would be off by its own factor. A channel that the norm has switched off, and one that rounding would switch off, keep their scale.
 */
export function storableVector(
  dtype: FloatSource,
  weights: Float32Array,
  scales: Float32Array,
): Float32Array<ArrayBuffer> {
  return Float32Array.from(scales, (scale, index) => {
    const weight = weights[index] ?? 0
    const storable = (1 + weight) / (1 + roundTo(dtype, foldedNorm(weight, scale)))
    return storable > 0 && Number.isFinite(Math.fround(storable)) ? storable : 1
  })
}
