/** Reads back INT8 with one scale per row. */
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = signed code · scale[row]. Largest error: half a scale. */
export function decodeInt8(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const readScale = f32Reader(stored.weightScale)
  const values = new Float32Array(stored.rows * stored.cols)
  for (let row = 0, i = 0; row < stored.rows; row++) {
    const scale = readScale(row)
    for (let col = 0; col < stored.cols; col++, i++) values[i] = ((stored.weight[i]! << 24) >> 24) * scale
  }
  return values
}
