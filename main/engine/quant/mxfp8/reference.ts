/** MXFP8: E4M3 [rows, cols] in blocks of 32 with E8M0 exponents, weight_scale U8 [rows, cols / 32]. Source: rules R5, R7, format 9.9. */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { E4M3_MAX, encodeE4m3 } from '../../tensor/e4m3.ts'
import { e8m0ForE4m3 } from '../../tensor/e8m0.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import type { Bf16Matrix, EncodedParts } from '../matrix.ts'

/** Smallest e with 2^e · 448 >= blockAmax; code = E4M3(clamp(w · 2^-e, ±448)). A zero block has exponent byte 0 and keeps the signs of its
 *  zeros. Both profiles agree. `blockSize` divides `cols` (checked by the layout). */
export function encodeMxfp8(matrix: Bf16Matrix, blockSize: number, parts: EncodedParts): void {
  for (let begin = 0; begin < matrix.bits.length; begin += blockSize) {
    const exponentByte = e8m0ForE4m3(amaxBits(matrix.bits, begin, begin + blockSize))
    const inverse = 2 ** (127 - exponentByte)
    parts.weightScale[begin / blockSize] = exponentByte
    for (let i = begin; i < begin + blockSize; i++) {
      const scaled = mulF32(bf16ToF32(matrix.bits[i]!), inverse)
      parts.weight[i] = encodeE4m3(Math.min(Math.max(scaled, -E4M3_MAX), E4M3_MAX), 'cuda')
    }
  }
}
