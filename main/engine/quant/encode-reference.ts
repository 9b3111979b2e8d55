/** One entry to the reference encoders: picks the arithmetic of a format. The kernels must give the same bytes. */
import { amaxBits } from '../tensor/amax.ts'
import { bf16ToF32 } from '../tensor/bf16.ts'
import { encodeFp8Row } from './fp8-row/reference.ts'
import { encodeFp8Tile, fusedHalfAmaxes, tileAmaxes } from './fp8-tile/reference.ts'
import { encodeFp8 } from './fp8/reference.ts'
import type { ModuleFormat, NumericProfile } from './formats.ts'
import { encodeInt4 } from './int4/reference.ts'
import { encodeInt8 } from './int8/reference.ts'
import {
  blockSizeOf,
  isStaticBlockFormat,
  storedParts,
  storedSizesBytes,
  tensorScaleDivisor,
  weightLayout,
  type FusedHalf,
} from './layout.ts'
import type { Bf16Matrix, EncodeContext, EncodedParts } from './matrix.ts'
import { encodeMxfp4 } from './mxfp4/reference.ts'
import { encodeMxfp8 } from './mxfp8/reference.ts'
import { encodeNvfp4Static } from './nvfp4-static/reference.ts'
import { blockAmaxes, fourOverSixBlockAmaxes, sweepBlockAmaxes } from './nvfp4-static/search.ts'
import { encodeNvfp4 } from './nvfp4/reference.ts'

/** The whole fused weight of an expert and the place of the matrix in it; only fp8_pb_wo looks at it. */
export interface FusedSource extends FusedHalf {
  readonly matrix: Bf16Matrix
}

/**
 * Encodes a matrix into given regions and returns weight_scale_2 of the NVFP4 family, else undefined.
 * `context.tensorAmax` is read by formats of which `needsTensorAmax` is true. Throws BLOCK_SIZE_UNSUPPORTED.
 */
export function encodeReference(
  format: ModuleFormat,
  matrix: Bf16Matrix,
  context: EncodeContext,
  parts: EncodedParts,
  fused?: FusedSource,
): number | undefined {
  switch (weightLayout(format.format)) {
    case 'fp8':
      encodeFp8(matrix, context, parts)
      return undefined
    case 'fp8_row':
      encodeFp8Row(matrix, context, parts)
      return undefined
    case 'fp8_tile':
      encodeFp8Tile(matrix, tileAmaxesOf(matrix, fused), context, parts)
      return undefined
    case 'int8_row':
      encodeInt8(matrix, context, parts)
      return undefined
    case 'int4':
      encodeInt4(matrix, blockSizeOf(format), context, parts)
      return undefined
    case 'mxfp8':
      encodeMxfp8(matrix, blockSizeOf(format), parts)
      return undefined
    case 'mxfp4':
      encodeMxfp4(matrix, blockSizeOf(format), parts)
      return undefined
    case 'nvfp4':
      return isStaticBlockFormat(format.format)
        ? encodeNvfp4Static(
            matrix,
            staticOptions(format, matrix, context.searchAmax ?? context.tensorAmax),
            context,
            parts,
          )
        : encodeNvfp4(
            matrix,
            { blockSize: blockSizeOf(format), scaleDivisor: tensorScaleDivisor(format) },
            context,
            parts,
          )
  }
}

export interface EncodedMatrix {
  readonly weight: Uint8Array<ArrayBuffer>
  readonly weightScale: Uint8Array<ArrayBuffer>
  readonly weightScale2: number | undefined
}

/** Encodes a matrix into new arrays. `tensorAmax` undefined = the matrix's own maximum. Throws BLOCK_SIZE_UNSUPPORTED. */
export function encodeMatrix(
  format: ModuleFormat,
  matrix: Bf16Matrix,
  profile: NumericProfile,
  tensorAmax?: number,
  fused?: FusedSource,
): EncodedMatrix {
  const parts = storedParts(format, matrix.rows, matrix.cols, fused)
  const [weightBytes = 0, scaleBytes = 0] = storedSizesBytes(parts)
  const weight = new Uint8Array(weightBytes)
  const weightScale = new Uint8Array(scaleBytes)
  const amax = tensorAmax ?? bf16ToF32(amaxBits(matrix.bits, 0, matrix.bits.length))
  const weightScale2 = encodeReference(
    format,
    matrix,
    { profile, tensorAmax: amax },
    { weight, weightScale },
    fused,
  )
  return { weight, weightScale, weightScale2 }
}

/** Block maxima of a static format by its search (none: the plain maxima) and the largest block scale that goes with it. */
export function staticOptions(
  format: ModuleFormat,
  matrix: Bf16Matrix,
  tensorAmax: number,
): {
  readonly blockSize: number
  readonly largestBlockScale: 448 | 256
  readonly blockAmaxes: Float32Array<ArrayBuffer>
} {
  const blockSize = blockSizeOf(format)
  if (format.search === 'mse') {
    const amaxes = sweepBlockAmaxes(matrix, blockSize, tensorAmax)
    return { blockSize, largestBlockScale: 448, blockAmaxes: amaxes }
  }
  if (format.search === 'four_over_six') {
    const amaxes = fourOverSixBlockAmaxes(matrix, blockSize, tensorAmax)
    return { blockSize, largestBlockScale: 256, blockAmaxes: amaxes }
  }
  return { blockSize, largestBlockScale: 448, blockAmaxes: blockAmaxes(matrix, blockSize) }
}

function tileAmaxesOf(matrix: Bf16Matrix, fused: FusedSource | undefined): Float32Array {
  if (fused === undefined) return tileAmaxes(matrix)
  return fusedHalfAmaxes(tileAmaxes(fused.matrix), matrix.rows, matrix.cols, fused)
}
