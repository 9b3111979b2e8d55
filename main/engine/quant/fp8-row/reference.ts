/** FP8 with one scale per output row: E4M3 [rows, cols], weight_scale F32 [rows]. Source: rules R1, R4, R5 and format 9.2 of the export. */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { encodeE4m3 } from '../../tensor/e4m3.ts'
import { divF32 } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import { f32Writer, type Bf16Matrix, type EncodeContext, type EncodedParts } from '../matrix.ts'

/** scale = rowAmax / 448, code = E4M3(w / scale) from an f32 quotient. A zero row has scale 1.0 and keeps the signs of its zeros. */
export function encodeFp8Row(
  matrix: Bf16Matrix,
  { profile }: Pick<EncodeContext, 'profile'>,
  parts: EncodedParts,
): void {
  const writeScale = f32Writer(parts.weightScale)
  for (let row = 0; row < matrix.rows; row++) {
    const begin = row * matrix.cols
    const end = begin + matrix.cols
    const amax = bf16ToF32(amaxBits(matrix.bits, begin, end))
    const scale = activationScale(amax === 0 ? 448 : amax, 448, profile)
    writeScale(row, scale)
    for (let i = begin; i < end; i++) {
      parts.weight[i] = encodeE4m3(divF32(bf16ToF32(matrix.bits[i]!), scale), profile)
    }
  }
}
