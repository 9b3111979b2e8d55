/**
 * INT4 in blocks along the columns: U8 [rows / 2, cols] with two output rows per byte (even row in the low nibble), weight_scale
 * F32 [rows, cols / blockSize]. Source: rules R1, R4, R6 and format 9.5 of the export.
 */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { divF32, roundHalfEven } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import { f32Writer, type Bf16Matrix, type EncodeContext, type EncodedParts } from '../matrix.ts'

/** scale = blockAmax / 7, code = clamp(rint(w / scale), -8, 7), kept as 4-bit two's complement. A zero block has scale 1.0 and zero codes.
 *  `rows` is even and `blockSize` divides `cols` (checked by the layout). */
export function encodeInt4(
  matrix: Bf16Matrix,
  blockSize: number,
  { profile }: Pick<EncodeContext, 'profile'>,
  parts: EncodedParts,
): void {
  const { bits, rows, cols } = matrix
  const writeScale = f32Writer(parts.weightScale)
  for (let row = 0; row < rows; row++) {
    for (let begin = row * cols; begin < (row + 1) * cols; begin += blockSize) {
      const amax = bf16ToF32(amaxBits(bits, begin, begin + blockSize))
      const scale = activationScale(amax === 0 ? 7 : amax, 7, profile)
      writeScale(begin / blockSize, scale)
      for (let i = begin; i < begin + blockSize; i++) {
        const code = roundHalfEven(divF32(bf16ToF32(bits[i]!), scale))
        const nibble = Math.min(Math.max(code, -8), 7) & 0xf
        const target = (row >> 1) * cols + (i - row * cols)
        parts.weight[target] = row % 2 === 0 ? nibble : parts.weight[target]! | (nibble << 4)
      }
    }
  }
}
