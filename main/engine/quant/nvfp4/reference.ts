/**
 * NVFP4 with block scales from block maxima: U8 [rows, cols / 2], weight_scale E4M3 [rows, cols / blockSize], weight_scale_2 F32 [].
 * Source: rules R1, R2, R5, R9 and format 9.6 of the export.
 */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { e2m1TiesToEven, packNibbles } from '../../tensor/e2m1.ts'
import { decodeE4m3, E4M3_MAX, E4M3_MIN, encodeE4m3 } from '../../tensor/e4m3.ts'
import { divF32, mulF32 } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import type { NumericProfile } from '../formats.ts'
import type { Bf16Matrix, EncodeContext, EncodedParts } from '../matrix.ts'

/**
 * tensorScale = tensorAmax / scaleDivisor (2688, or 448 for FP8 activations), blockScale = E4M3(blockAmax / (6 · tensorScale)),
 * code = E2M1(w / (blockScale · tensorScale)), ties to even. Returns weight_scale_2 = tensorScale.
 * A zero block has block scale 1.0; tiny blocks clamp to 2^-9. An all-zero tensor (amax 0) gives tensor scale 0, NaN block scales
 * (0x7F cuda, 0xFF cpu) and bytes 0x77. `blockSize` is even and divides `cols` (checked by the layout).
 */
export function encodeNvfp4(
  matrix: Bf16Matrix,
  { blockSize, scaleDivisor }: { readonly blockSize: number; readonly scaleDivisor: number },
  { profile, tensorAmax }: EncodeContext,
  parts: EncodedParts,
): number {
  const tensorScale = activationScale(tensorAmax, scaleDivisor, profile)
  const perBlock = mulF32(6, tensorScale)
  const target = { matrix, blockSize, tensorScale, parts }
  for (let begin = 0; begin < matrix.bits.length; begin += blockSize) {
    const blockAmax = bf16ToF32(amaxBits(matrix.bits, begin, begin + blockSize))
    const quotient = divF32(blockAmax, perBlock)
    writeNvfp4Block(target, begin, blockScaleByte(quotient === 0 ? 1 : quotient, profile))
  }
  return tensorScale
}

/** E4M3 byte of a block scale, clamped to [2^-9, 448] before rounding. NaN stays NaN with the profile's byte. */
export function blockScaleByte(scale: number, profile: NumericProfile): number {
  return encodeE4m3(Math.min(Math.max(scale, E4M3_MIN), E4M3_MAX), profile)
}

export interface Nvfp4Target {
  readonly matrix: Bf16Matrix
  readonly blockSize: number
  readonly tensorScale: number
  readonly parts: EncodedParts
}

/** Stores the block of elements [begin, begin + blockSize) with a given block scale byte: the byte itself and the packed codes. */
export function writeNvfp4Block(target: Nvfp4Target, begin: number, scaleByte: number): void {
  const { matrix, blockSize, tensorScale, parts } = target
  const step = mulF32(decodeE4m3(scaleByte), tensorScale)
  const codes = new Uint8Array(blockSize)
  for (let i = 0; i < blockSize; i++)
    codes[i] = e2m1TiesToEven(divF32(bf16ToF32(matrix.bits[begin + i]!), step))
  parts.weightScale[begin / blockSize] = scaleByte
  packNibbles(codes, parts.weight.subarray(begin / 2))
}
