/** Reads back INT4 in blocks, two output rows per byte. */
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = signed code · scale[row, block]. Largest error: half a scale. */
export function decodeInt4(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const { rows, cols, weight } = stored
  const readScale = f32Reader(stored.weightScale)
  const values = new Float32Array(rows * cols)
  for (let begin = 0, block = 0; begin < values.length; begin += blockSize, block++) {
    const scale = readScale(block)
    const end = Math.min(values.length, begin + blockSize)
    for (let i = begin; i < end; i++) {
      const row = Math.floor(i / cols)
      const byte = weight[(row >> 1) * cols + (i - row * cols)]!
      const nibble = row % 2 === 0 ? byte & 0xf : byte >> 4
      values[i] = ((nibble << 28) >> 28) * scale
    }
  }
  return values
}
