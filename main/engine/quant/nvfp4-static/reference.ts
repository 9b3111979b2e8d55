/**
 * NVFP4 with block maxima chosen beforehand (by a search, or the plain maxima). Stored as NVFP4.
 * Source: rules R1, R2, R5 and format 9.7 of the export.
 */
import { mulF32, divF32 } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import type { Bf16Matrix, EncodeContext, EncodedParts } from '../matrix.ts'
import { blockScaleByte, writeNvfp4Block } from '../nvfp4/reference.ts'

export interface StaticNvfp4Options {
  readonly blockSize: number
  /** m: block scale of a block that holds the tensor maximum; 448, or 256 for four-over-six. */
  readonly largestBlockScale: 448 | 256
  /** Chosen f32 maximum of each block, row-major. */
  readonly blockAmaxes: Float32Array
}

/**
 * tensorScale = tensorAmax / (6 · m), blockScale = E4M3((blockAmax / 6 · m) / (tensorAmax / 6)); codes as in NVFP4. Returns tensorScale.
 * A zero block takes 1.0 for blockAmax / 6 before it is normalised, so its byte depends on the tensor maximum; its codes are 0.
 */
export function encodeNvfp4Static(
  matrix: Bf16Matrix,
  { blockSize, largestBlockScale, blockAmaxes }: StaticNvfp4Options,
  { profile, tensorAmax }: EncodeContext,
  parts: EncodedParts,
): number {
  const tensorScale = activationScale(tensorAmax, 6 * largestBlockScale, profile)
  const largestStep = activationScale(tensorAmax, 6, profile)
  const target = { matrix, blockSize, tensorScale, parts }
  blockAmaxes.forEach((blockAmax, block) => {
    const step = activationScale(blockAmax, 6, profile)
    const scale = divF32(mulF32(step === 0 ? 1 : step, largestBlockScale), largestStep)
    writeNvfp4Block(target, block * blockSize, blockScaleByte(scale, profile))
  })
  return tensorScale
}
