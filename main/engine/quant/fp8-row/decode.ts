/** Reads back FP8 with one scale per row. */
import { decodeE4m3 } from '../../tensor/e4m3.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · scale[row]. NaN codes give NaN. */
export function decodeFp8Row(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const readScale = f32Reader(stored.weightScale)
  const values = new Float32Array(stored.rows * stored.cols)
  for (let row = 0, i = 0; row < stored.rows; row++) {
    const scale = readScale(row)
    for (let col = 0; col < stored.cols; col++, i++) values[i] = mulF32(decodeE4m3(stored.weight[i]!), scale)
  }
  return values
}
