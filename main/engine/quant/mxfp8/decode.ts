/** Reads back MXFP8. */
import { decodeE4m3Run } from '../../tensor/e4m3.ts'
import { decodeE8m0 } from '../../tensor/e8m0.ts'
import type { StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · 2^(byte - 127). Exact except where the product is an f32 subnormal. */
export function decodeMxfp8(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(stored.rows * stored.cols)
  for (let begin = 0, block = 0; begin < values.length; begin += blockSize, block++) {
    decodeE4m3Run(stored.weight, values, begin, blockSize, decodeE8m0(stored.weightScale[block]!))
  }
  return values
}
