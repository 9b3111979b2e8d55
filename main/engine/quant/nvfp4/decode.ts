/** Reads back NVFP4, dynamic and static alike: the stored form is the same. */
import { decodeE2m1Run } from '../../tensor/e2m1.ts'
import { decodeE4m3 } from '../../tensor/e4m3.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import type { StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · (blockScale · tensorScale), the inner product rounded to f32 as the encoder does. NaN scales give NaN.
 *  Largest error: one step (blockScale · tensorScale), at the wide spacing between codes 4 and 6, while nothing saturates. */
export function decodeNvfp4(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const tensorScale = stored.weightScale2 ?? Number.NaN
  const values = new Float32Array(stored.rows * stored.cols)
  for (let begin = 0, block = 0; begin < values.length; begin += blockSize, block++) {
    const step = mulF32(decodeE4m3(stored.weightScale[block]!), tensorScale)
    decodeE2m1Run(stored.weight, values, begin, blockSize, step)
  }
  return values
}
