/** Reads back MXFP8. */
import { decodeE4m3 } from '../../tensor/e4m3.ts'
import { decodeE8m0 } from '../../tensor/e8m0.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import type { StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · 2^(byte - 127). Exact except where the product is an f32 subnormal. */
export function decodeMxfp8(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(stored.rows * stored.cols)
  for (let i = 0; i < values.length; i++) {
    const scale = decodeE8m0(stored.weightScale[Math.floor(i / blockSize)]!)
    values[i] = mulF32(decodeE4m3(stored.weight[i]!), scale)
  }
  return values
}
