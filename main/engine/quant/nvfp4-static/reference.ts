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
 * E4M3 bytes of the block scales (blockAmax / 6 · m) / (tensorAmax / 6), one per block.
 * A zero block takes 1.0 for blockAmax / 6 before it is normalised, so its byte depends on the tensor maximum.
 */
export function staticScaleBytes(
  { largestBlockScale, blockAmaxes }: StaticNvfp4Options,
  { profile, tensorAmax }: EncodeContext,
): Uint8Array<ArrayBuffer> {
  const largestStep = activationScale(tensorAmax, 6, profile)
  return Uint8Array.from(blockAmaxes, (blockAmax) => {
    const step = activationScale(blockAmax, 6, profile)
    const scale = divF32(mulF32(step === 0 ? 1 : step, largestBlockScale), largestStep)
    return blockScaleByte(scale, profile)
  })
}

/** tensorScale = tensorAmax / (6 · m), block scales as above, codes as in NVFP4 (all 0 in a zero block). Returns tensorScale. */
export function encodeNvfp4Static(
  matrix: Bf16Matrix,
  options: StaticNvfp4Options,
  context: EncodeContext,
  parts: EncodedParts,
): number {
  const { blockSize, largestBlockScale } = options
  const tensorScale = activationScale(context.tensorAmax, 6 * largestBlockScale, context.profile)
  const target = { matrix, blockSize, tensorScale, parts }
  staticScaleBytes(options, context).forEach((byte, block) =>
    writeNvfp4Block(target, block * blockSize, byte),
  )
  return tensorScale
}
