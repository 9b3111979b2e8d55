/** Reads back FP8 with one scale per tensor. */
import { decodeE4m3Run } from '../../tensor/e4m3.ts'
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · scale. NaN codes give NaN. Largest error for a value within the range: 2^-4 of it, or half of 2^-9 · scale. */
export function decodeFp8(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const scale = f32Reader(stored.weightScale)(0)
  const values = new Float32Array(stored.rows * stored.cols)
  decodeE4m3Run(stored.weight, values, 0, values.length, scale)
  return values
}
