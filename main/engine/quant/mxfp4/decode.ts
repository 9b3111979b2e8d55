/** Reads back MXFP4. */
import { E2M1_VALUES } from '../../tensor/e2m1.ts'
import { decodeE8m0 } from '../../tensor/e8m0.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import type { StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · 2^(byte - 127). Code 0x8 is -0. */
export function decodeMxfp4(stored: StoredMatrix, blockSize: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(stored.rows * stored.cols)
  for (let i = 0; i < values.length; i++) {
    const byte = stored.weight[i >> 1]!
    const scale = decodeE8m0(stored.weightScale[Math.floor(i / blockSize)]!)
    values[i] = mulF32(E2M1_VALUES[i % 2 === 0 ? byte & 0xf : byte >> 4]!, scale)
  }
  return values
}
