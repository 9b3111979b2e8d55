/**
 * Chooses the kernel of a format. Falls back to the reference encoder, on the same memory, where no kernel exists: fp8_pb_wo halves of
 * fused experts, NVFP4 blocks above 256, int4 blocks that are no multiple of 16, and tensors of values so large (amax above about 390000)
 * that quotients could underflow.
 */
import type { ModuleFormat } from '../../quant/formats.ts'
import { activationScale } from '../../quant/activation-scale.ts'
import { encodeReference, type FusedSource } from '../../quant/encode-reference.ts'
import {
  blockSizeOf,
  isStaticBlockFormat,
  tensorScaleDivisor,
  weightLayout,
  type FusedHalf,
} from '../../quant/layout.ts'
import type { Bf16Matrix } from '../../quant/matrix.ts'
import { roundToBf16 } from '../../tensor/bf16.ts'
import type { KernelModule } from './kernel-exports.ts'

/** Addresses are absolute in the kernels' memory. */
export interface EncodeRegions {
  readonly source: number
  readonly weight: number
  readonly weightBytes: number
  readonly weightScale: number
  readonly scaleBytes: number
}

export interface EncodeShape {
  readonly rows: number
  readonly cols: number
  readonly tensorAmax: number
  /** See EncodeRequest. */
  readonly searchAmax: number
  readonly fused: (FusedHalf & { readonly address: number }) | undefined
}

const GROUP_SIZE = 16
/** As chooseStaticScales counts them. */
const SEARCH_CODES = { none: 0, mse: 1, four_over_six: 2 } as const
/** Largest divisor of NVFP4 (480 · tensorScale) below which no quotient of a BF16 value underflows to zero. */
const LARGEST_DIVISOR = 65536

/** Encodes into `regions`, cuda profile; returns weight_scale_2 of the NVFP4 family. Shapes were checked by `storedParts`. */
export function encodeWithKernels(
  module: KernelModule,
  format: ModuleFormat,
  shape: EncodeShape,
  regions: EncodeRegions,
): number | undefined {
  const { functions } = module
  const { source, weight, weightScale } = regions
  const { rows, cols } = shape
  switch (weightLayout(format.format)) {
    case 'fp8': {
      const scale = activationScale(shape.tensorAmax, 448, 'cuda')
      functions.encodeFp8Tensor(source, rows * cols, roundToBf16(scale), weight)
      new DataView(module.memory.buffer).setFloat32(weightScale, scale, true)
      return undefined
    }
    case 'fp8_row':
      functions.encodeFp8Rows(source, rows, cols, weight, weightScale)
      return undefined
    case 'fp8_tile':
      if (shape.fused !== undefined) return encodeOnMemory(module, format, shape, regions)
      functions.encodeFp8Tiles(source, rows, cols, weight, weightScale)
      return undefined
    case 'int8_row':
      functions.encodeInt8Rows(source, rows, cols, weight, weightScale)
      return undefined
    case 'int4':
      if (blockSizeOf(format) % GROUP_SIZE !== 0) return encodeOnMemory(module, format, shape, regions)
      functions.encodeInt4Blocks(source, rows, cols, blockSizeOf(format), weight, weightScale)
      return undefined
    case 'mxfp8':
      functions.encodeMxfp8(source, regions.scaleBytes, weight, weightScale)
      return undefined
    case 'mxfp4':
      functions.encodeMxfp4(source, regions.scaleBytes, weight, weightScale)
      return undefined
    case 'nvfp4':
      return encodeNvfp4(module, format, shape, regions)
  }
}

function encodeNvfp4(
  module: KernelModule,
  format: ModuleFormat,
  shape: EncodeShape,
  regions: EncodeRegions,
): number | undefined {
  const { source, weight, weightScale, scaleBytes } = regions
  const groupsPerBlock = blockSizeOf(format) / GROUP_SIZE
  const tensorScale = activationScale(shape.tensorAmax, tensorScaleDivisor(format), 'cuda')
  if (groupsPerBlock > GROUP_SIZE || tensorScale * 480 > LARGEST_DIVISOR) {
    return encodeOnMemory(module, format, shape, regions)
  }
  if (isStaticBlockFormat(format.format)) {
    const search = SEARCH_CODES[format.search ?? 'none']
    module.functions.chooseStaticScales(
      source,
      scaleBytes,
      groupsPerBlock,
      shape.tensorAmax,
      shape.searchAmax,
      search,
      weightScale,
    )
    module.functions.encodeNvfp4Scaled(source, scaleBytes, groupsPerBlock, tensorScale, weight, weightScale)
  } else {
    module.functions.encodeNvfp4(source, scaleBytes, groupsPerBlock, tensorScale, weight, weightScale)
  }
  return tensorScale
}

function encodeOnMemory(
  module: KernelModule,
  format: ModuleFormat,
  { rows, cols, tensorAmax, searchAmax, fused }: EncodeShape,
  regions: EncodeRegions,
): number | undefined {
  const { buffer } = module.memory
  const parts = {
    weight: new Uint8Array(buffer, regions.weight, regions.weightBytes),
    weightScale: new Uint8Array(buffer, regions.weightScale, regions.scaleBytes),
  }
  const whole: FusedSource | undefined = fused && {
    startRow: fused.startRow,
    totalRows: fused.totalRows,
    matrix: matrixAt(module, fused.address, fused.totalRows, cols),
  }
  const matrix = matrixAt(module, regions.source, rows, cols)
  return encodeReference(format, matrix, { profile: 'cuda', tensorAmax, searchAmax }, parts, whole)
}

function matrixAt(module: KernelModule, address: number, rows: number, cols: number): Bf16Matrix {
  return { bits: new Uint16Array(module.memory.buffer, address, rows * cols), rows, cols }
}
