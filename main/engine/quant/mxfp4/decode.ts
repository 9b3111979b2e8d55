/** Reads back MXFP4. */
import { decodeE2m1Run } from '../../tensor/e2m1.ts'
import { decodeE8m0 } from '../../tensor/e8m0.ts'
import type { StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · 2^(byte - 127). Code 0x8 is -0. */
export function decodeMxfp4(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(stored.rows * stored.cols)
  for (let begin = 0, block = 0; begin < values.length; begin += blockSize, block++) {
    decodeE2m1Run(stored.weight, values, begin, blockSize, decodeE8m0(stored.weightScale[block]!))
  }
  return values
}
