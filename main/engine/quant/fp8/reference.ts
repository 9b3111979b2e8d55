/** FP8 with one scale per tensor: E4M3 [rows, cols], weight_scale F32 []. Source: rules R1, R3, R5 and format 9.1 of the export. */
import { bf16ToF32, roundToBf16 } from '../../tensor/bf16.ts'
import { encodeE4m3 } from '../../tensor/e4m3.ts'
import { divF32 } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import { f32Writer, type Bf16Matrix, type EncodeContext, type EncodedParts } from '../matrix.ts'

/**
 * scale = tensorAmax / 448; code = E4M3(bf16(w / scale)), where the cuda profile rounds the scale to BF16 before dividing.
 * An all-zero tensor has scale 0 and NaN codes (0x7F cuda, 0xFF cpu). No clamp: quotients reach 449.75 at most, which is below 464.
 */
export function encodeFp8(matrix: Bf16Matrix, context: EncodeContext, parts: EncodedParts): void {
  const { profile, tensorAmax } = context
  const scale = activationScale(tensorAmax, 448, profile)
  const divisor = profile === 'cuda' ? roundToBf16(scale) : scale
  f32Writer(parts.weightScale)(0, scale)
  for (let i = 0; i < matrix.bits.length; i++) {
    parts.weight[i] = encodeE4m3(roundToBf16(divF32(bf16ToF32(matrix.bits[i]!), divisor)), profile)
  }
}
