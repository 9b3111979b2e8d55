/** Values of a comparable in chunks of rows, decoded or widened to f32. */
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import { chunkRows, decodeChunks } from '../decode-chunks.ts'
import { isFloat, readFloats } from '../read-floats.ts'
import type { WindowedReader } from '../windowed-reader.ts'
import type { Comparable } from './compared-side.ts'

export interface ValueChunk {
  readonly values: Float32Array
  /** Scales of the chunk, one for each run of values; empty for plain tensors. */
  readonly scales: Float32Array
}

const NO_SCALES = new Float32Array(0)

/** Rows and columns; tensors of other ranks are seen as a matrix of their last dimension. */
export function matrixShape(comparable: Comparable): readonly [rows: number, cols: number] {
  if (comparable.kind === 'quantized') return [comparable.sound.matrix.rows, comparable.sound.matrix.cols]
  const { shape } = comparable.slice
  const cols = shape.at(-1) ?? 1
  return [shape.slice(0, -1).reduce((product, size) => product * size, 1), cols]
}

/** Why the values cannot be decoded; undefined when they can. */
export function undecodable(comparable: Comparable): string | undefined {
  if (comparable.kind === 'quantized') {
    return comparable.sound.stored.hasZeroPoint ? 'its integers have zero points' : undefined
  }
  return isFloat(comparable.slice.dtype) ? undefined : `${comparable.slice.dtype} is not a float format`
}

/** Chunks in order of rows, of the same rows for the same shape. Throws READ_FAILED, SAFETENSORS_TRUNCATED. */
export async function* walkValues(
  comparable: Comparable,
  reader: WindowedReader,
): AsyncGenerator<ValueChunk> {
  if (comparable.kind === 'quantized') {
    yield* decodeChunks(comparable.sound, reader)
    return
  }
  const { slice } = comparable
  const [rows, cols] = matrixShape(comparable)
  if (rows === 0 || cols === 0) return
  const rowBytes = slice.sizeBytes / rows
  const step = chunkRows(cols)
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row)
    const bytes = await reader.read(slice, row * rowBytes, count * rowBytes)
    yield { values: readFloats(slice.dtype, bytes), scales: NO_SCALES }
  }
}

/** Same bytes of two tensors of one dtype and shape. */
export async function isSameBytes(
  left: TensorSlice,
  leftReader: WindowedReader,
  right: TensorSlice,
  rightReader: WindowedReader,
  firstDifference: (a: Uint8Array, b: Uint8Array) => number,
): Promise<boolean> {
  const piece = 4 * 1024 * 1024
  for (let from = 0; from < left.sizeBytes; from += piece) {
    const length = Math.min(piece, left.sizeBytes - from)
    const a = await leftReader.read(left, from, length)
    const b = await rightReader.read(right, from, length)
    if (firstDifference(a, b) !== -1) return false
  }
  return true
}
