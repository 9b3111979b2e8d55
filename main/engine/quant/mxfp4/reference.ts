/** MXFP4: U8 [rows, cols / 2] in blocks of 32 with E8M0 exponents, weight_scale U8 [rows, cols / 32]. Source: rule R7, format 9.10. */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { e2m1TiesTowardZero, packNibbles } from '../../tensor/e2m1.ts'
import { decodeE8m0, e8m0ForE2m1 } from '../../tensor/e8m0.ts'
import { divF32 } from '../../tensor/float-bits.ts'
import type { Bf16Matrix, EncodedParts } from '../matrix.ts'

/** Smallest e with 2^e · 6 >= blockAmax; code = E2M1(w / 2^e), ties toward zero and every zero 0x8, so a zero block is 0x88 bytes with
 *  exponent byte 0. Both profiles agree. `blockSize` is even and divides `cols` (checked by the layout). */
export function encodeMxfp4(matrix: Bf16Matrix, blockSize: number, parts: EncodedParts): void {
  const codes = new Uint8Array(blockSize)
  for (let begin = 0; begin < matrix.bits.length; begin += blockSize) {
    const exponentByte = e8m0ForE2m1(amaxBits(matrix.bits, begin, begin + blockSize))
    const scale = decodeE8m0(exponentByte)
    for (let i = 0; i < blockSize; i++)
      codes[i] = e2m1TiesTowardZero(divF32(bf16ToF32(matrix.bits[begin + i]!), scale))
    parts.weightScale[begin / blockSize] = exponentByte
    packNibbles(codes, parts.weight.subarray(begin / 2))
  }
}
