/** Reads back FP8 with one scale per row. */
import { decodeE4m3Run } from '../../tensor/e4m3.ts'
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · scale[row]. NaN codes give NaN. */
export function decodeFp8Row(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const readScale = f32Reader(stored.weightScale)
  const values = new Float32Array(stored.rows * stored.cols)
  for (let row = 0; row < stored.rows; row++) {
    decodeE4m3Run(stored.weight, values, row * stored.cols, stored.cols, readScale(row))
  }
  return values
}
