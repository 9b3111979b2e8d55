/** INT8 with one scale per output row: I8 [rows, cols], weight_scale F32 [rows]. Source: rules R1, R4, R6 and format 9.4 of the export. */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { divF32, roundHalfEven } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import { f32Writer, type Bf16Matrix, type EncodeContext, type EncodedParts } from '../matrix.ts'

/** scale = rowAmax / 127, code = clamp(rint(w / scale), -128, 127) from an f32 quotient, stored as two's complement.
 *  A zero row has scale 1.0 (127 stands in for its maximum) and zero codes. */
export function encodeInt8(
  matrix: Bf16Matrix,
  { profile }: Pick<EncodeContext, 'profile'>,
  parts: EncodedParts,
): void {
  const writeScale = f32Writer(parts.weightScale)
  for (let row = 0; row < matrix.rows; row++) {
    const begin = row * matrix.cols
    const end = begin + matrix.cols
    const amax = bf16ToF32(amaxBits(matrix.bits, begin, end))
    const scale = activationScale(amax === 0 ? 127 : amax, 127, profile)
    writeScale(row, scale)
    for (let i = begin; i < end; i++) {
      const code = roundHalfEven(divF32(bf16ToF32(matrix.bits[i]!), scale))
      parts.weight[i] = Math.min(Math.max(code, -128), 127) & 0xff
    }
  }
}
