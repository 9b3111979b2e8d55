/** Decodes a stored matrix in chunks of rows, whatever dialect it is stored in: values, and the scale that applies to each. */
import { decodeMatrix } from '../quant/decode-matrix.ts'
import { blockSizeOf, TILE_SIZE, weightLayout } from '../quant/layout.ts'
import { decodeE4m3Run } from '../tensor/e4m3.ts'
import { decodeE8m0 } from '../tensor/e8m0.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { StoredMatrix } from './check-tensors.ts'
import { readFloats } from './read-floats.ts'
import type { PartRole } from './stored-format.ts'
import type { WindowedReader } from './windowed-reader.ts'

/** Elements decoded at once; rounded to whole rows and tiles. */
const CHUNK_ELEMENTS = 1 << 20

export interface DecodedChunk {
  readonly firstRow: number
  readonly rowCount: number
  /** f32[rowCount · cols] */
  readonly values: Float32Array<ArrayBuffer>
  /** f32, one for each run of `runLength` values in row-major order. */
  readonly scales: Float32Array<ArrayBuffer>
  readonly runLength: number
  /** Tensor scale of the NVFP4 family. */
  readonly tensorScale: number | undefined
}

/** Rows of a chunk of a matrix with `cols` columns; the same for every format, so that two matrices can be walked in step. */
export function chunkRows(cols: number): number {
  return Math.max(TILE_SIZE, Math.floor(CHUNK_ELEMENTS / cols / TILE_SIZE) * TILE_SIZE)
}

/** Yields the rows in order; of `wanted` only chunks that have some of them. Throws READ_FAILED, SAFETENSORS_TRUNCATED. */
export async function* decodeChunks(
  sound: StoredMatrix,
  reader: WindowedReader,
  wanted: { readonly first: number; readonly end: number } = { first: 0, end: sound.matrix.rows },
): AsyncGenerator<DecodedChunk> {
  const { rows, cols } = sound.matrix
  const step = chunkRows(cols)
  const tensorScale = await readTensorScale(sound, reader)
  for (let firstRow = 0; firstRow < rows; firstRow += step) {
    const rowCount = Math.min(step, rows - firstRow)
    if (firstRow >= wanted.end || firstRow + rowCount <= wanted.first) continue
    const chunk = { firstRow, rowCount, tensorScale }
    const packedBits = sound.stored.packedBits
    if (packedBits === undefined) yield await decodeOwn(sound, reader, chunk)
    else yield await decodePacked(sound, reader, chunk, packedBits)
  }
}

type Chunk = Pick<DecodedChunk, 'firstRow' | 'rowCount' | 'tensorScale'>

function partOf({ parts }: StoredMatrix, role: PartRole): TensorSlice | undefined {
  return parts.find(({ rule }) => rule.role === role)?.tensor
}

/** compressed-tensors stores the reciprocal; the value that engines multiply with is its f32 reciprocal. */
async function readTensorScale(sound: StoredMatrix, reader: WindowedReader): Promise<number | undefined> {
  const tensor = partOf(sound, 'tensor_scale')
  if (tensor === undefined) return undefined
  const [value] = readFloats(tensor.dtype, await reader.read(tensor))
  return sound.stored.dialect === 'modelopt' || value === undefined ? value : Math.fround(1 / value)
}

async function decodeOwn(sound: StoredMatrix, reader: WindowedReader, chunk: Chunk): Promise<DecodedChunk> {
  const { cols } = sound.matrix
  const { firstRow, rowCount, tensorScale } = chunk
  const { format } = sound.stored
  const codes = await readRows(reader, partOf(sound, 'codes'), sound.matrix.rows, firstRow, rowCount)
  const layout = weightLayout(format.format)
  const block = partOf(sound, layout === 'nvfp4' ? 'e4m3_scale' : 'e8m0_scale')
  if (block !== undefined) {
    const size = blockSizeOf(format)
    const bytes = await readRows(reader, block, sound.matrix.rows, firstRow, rowCount)
    const scales = new Float32Array(bytes.length)
    if (layout === 'nvfp4') decodeE4m3Run(bytes, scales, 0, bytes.length, tensorScale ?? Number.NaN)
    else for (let index = 0; index < bytes.length; index += 1) scales[index] = decodeE8m0(bytes[index] ?? 255)
    const stored = { rows: rowCount, cols, weight: codes, weightScale: bytes, weightScale2: tensorScale }
    return { ...chunk, values: decodeMatrix(format, stored), scales, runLength: size }
  }
  const { floats, scales, runLength } = await readFloatScales(sound, reader, chunk)
  const weightScale = new Uint8Array(floats.buffer)
  const stored = { rows: rowCount, cols, weight: codes, weightScale, weightScale2: undefined }
  return { ...chunk, values: decodeMatrix(format, stored), scales, runLength }
}

/** Scales in the layout of the decoder (`floats`), and one per run of values (`scales`). */
async function readFloatScales(
  sound: StoredMatrix,
  reader: WindowedReader,
  { firstRow, rowCount }: Chunk,
): Promise<Pick<DecodedChunk, 'scales' | 'runLength'> & { readonly floats: Float32Array<ArrayBuffer> }> {
  const { rows, cols } = sound.matrix
  const tensor = partOf(sound, 'float_scale')
  const all = tensor === undefined ? new Float32Array(0) : readFloats(tensor.dtype, await reader.read(tensor))
  switch (weightLayout(sound.stored.format.format)) {
    case 'fp8_row':
    case 'int8_row': {
      const floats = all.slice(firstRow, firstRow + rowCount)
      return { floats, scales: floats, runLength: cols }
    }
    case 'int4': {
      const perRow = all.length / rows
      const floats = all.slice(firstRow * perRow, (firstRow + rowCount) * perRow)
      return { floats, scales: floats, runLength: cols / perRow }
    }
    case 'fp8_tile': {
      const tileCols = Math.ceil(cols / TILE_SIZE)
      // A half of a fused expert may have one row of tiles for all its rows.
      const lastTileRow = all.length / tileCols - 1
      const tileRowOf = (row: number): number => Math.min(Math.floor(row / TILE_SIZE), lastTileRow)
      const firstTileRow = tileRowOf(firstRow)
      const floats = all.slice(firstTileRow * tileCols, (tileRowOf(firstRow + rowCount - 1) + 1) * tileCols)
      const isExact = cols % TILE_SIZE === 0
      const runLength = isExact ? TILE_SIZE : 1
      const perRow = cols / runLength
      const scales = Float32Array.from({ length: rowCount * perRow }, (_, index) => {
        const tileRow = tileRowOf(firstRow + Math.floor(index / perRow)) - firstTileRow
        const tileCol = Math.floor(((index % perRow) * runLength) / TILE_SIZE)
        return floats[tileRow * tileCols + tileCol] ?? Number.NaN
      })
      return { floats, scales, runLength }
    }
    default:
      return { floats: all.slice(0, 1), scales: all.slice(0, 1), runLength: rowCount * cols }
  }
}

/** Bytes of rows [firstRow, firstRow + rowCount) of a tensor whose bytes are divided evenly among `rows`. */
async function readRows(
  reader: WindowedReader,
  tensor: TensorSlice | undefined,
  rows: number,
  firstRow: number,
  rowCount: number,
): Promise<Uint8Array<ArrayBuffer>> {
  if (tensor === undefined) return new Uint8Array(0)
  // Two rows share a byte row in the INT4 layout; firstRow is even and an odd end does not exist.
  const rowBytes = tensor.sizeBytes / rows
  return reader.read(tensor, firstRow * rowBytes, rowCount * rowBytes)
}

/** `pack-quantized`: codes + 2^(bits-1) in 32-bit words along the columns, lowest bits first. */
async function decodePacked(
  sound: StoredMatrix,
  reader: WindowedReader,
  chunk: Chunk,
  bits: number,
): Promise<DecodedChunk> {
  const { rows, cols } = sound.matrix
  const { firstRow, rowCount } = chunk
  const bytes = await readRows(reader, partOf(sound, 'codes'), rows, firstRow, rowCount)
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const perWord = Math.floor(32 / bits)
  const wordsPerRow = Math.ceil(cols / perWord)
  const scale = partOf(sound, 'float_scale')
  const scales =
    scale === undefined
      ? new Float32Array(0)
      : readFloats(scale.dtype, await readRows(reader, scale, rows, firstRow, rowCount))
  const perRow = scales.length / rowCount
  const runLength = sound.stored.format.blockSize ?? cols
  const values = new Float32Array(rowCount * cols)
  const mask = 2 ** bits - 1
  const zero = 2 ** (bits - 1)
  for (let row = 0; row < rowCount; row += 1) {
    for (let begin = 0, run = row * perRow; begin < cols; begin += runLength, run += 1) {
      const scale = scales[run] ?? Number.NaN
      const end = Math.min(cols, begin + runLength)
      for (let col = begin; col < end; col += 1) {
        const word = words.getUint32((row * wordsPerRow + Math.floor(col / perWord)) * 4, true)
        values[row * cols + col] = (((word >>> ((col % perWord) * bits)) & mask) - zero) * scale
      }
    }
  }
  return { ...chunk, values, scales, runLength }
}
