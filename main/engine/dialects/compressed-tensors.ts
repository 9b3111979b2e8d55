/**
 * The compressed-tensors dialect: NVFP4 tensor scales are stored as reciprocals, scalars have one element, integer weights without quantized
 * inputs are packed into int32 along the input dimension. Source: schemes and compressors of compressed-tensors, loaders of vLLM.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, storedParts, TILE_SIZE, weightLayout, type StoredPart } from '../quant/layout.ts'
import type { StoredTransform } from '../quant/packing.ts'
import type { Dialect, DialectPart } from './dialect.ts'

/** Block sizes that exist there as schemes with loaders. */
const NVFP4_BLOCK = 16

export const compressedTensors: Dialect = {
  name: 'compressed-tensors',
  adopt(module, format) {
    const reason = obstacle(format)
    if (reason !== undefined) throw unsupported(module, `${formatName(format)} has no counterpart: ${reason}`)
    // Engines take INT8 experts only with inputs quantized per token, so the calibrated scale has no place here.
    return format.format === 'int8_sq' ? { ...format, inputScale: undefined, hasDynamicInput: true } : format
  },
  adoptKv(kv) {
    if (kv !== 'nvfp4' && kv !== 'nvfp4_cast') return kv
    throw unsupported(
      'KV cache',
      `${kv} has no counterpart: engines read an 8-bit float kv_cache_scheme only`,
    )
  },
  parts: (format, rows, cols) => partsOf(format, rows, cols),
  inputScale: (format) =>
    weightLayout(format.format) === 'nvfp4'
      ? { suffix: 'input_global_scale', shape: [1], transform: 'reciprocal' }
      : { suffix: 'input_scale', shape: [1], transform: undefined },
  kvScale: (module, letter) => ({ name: `${module}.${letter}_scale`, shape: [1] }),
}

/** Why a format cannot be written; undefined when it can. */
function obstacle(format: ModuleFormat): string | undefined {
  switch (format.format) {
    case 'w4a8_nvfp4_fp8':
      return 'NVFP4 weights go with NVFP4 or 16-bit inputs'
    case 'w4a8_mxfp4_fp8':
      return 'no loader reads MXFP4 weights with calibrated FP8 inputs'
    case 'nvfp4':
    case 'nvfp4_static':
      if (format.inputScale === undefined) return 'NVFP4 inputs need a stored input_global_scale'
      return nvfp4Obstacle(format)
    case 'w4a16_nvfp4':
    case 'w4a16_nvfp4_static':
      return nvfp4Obstacle(format)
    default:
      return undefined
  }
}

function nvfp4Obstacle(format: ModuleFormat): string | undefined {
  return blockSizeOf(format) === NVFP4_BLOCK ? undefined : 'its NVFP4 blocks have 16 elements'
}

function partsOf(format: ModuleFormat, rows: number, cols: number): readonly DialectPart[] {
  const [weight, scale, scale2] = storedParts(format, rows, cols)
  if (weight === undefined || scale === undefined) return []
  const { dtype, shape } = weight
  switch (weightLayout(format.format)) {
    case 'fp8':
      return [plain(weight), plain(scale, [1])]
    case 'fp8_row':
      return [plain(weight), plain(scale, [rows, 1])]
    case 'fp8_tile':
      return [plain(weight), plain(scale, [Math.ceil(rows / TILE_SIZE), Math.ceil(cols / TILE_SIZE)])]
    case 'int8_row':
      return format.format === 'int8_sq'
        ? [plain(weight), plain(scale, [rows, 1])]
        : [packedWords(format, rows, cols, 8, 'offset_int8'), plain(scale, [rows, 1]), SHAPE_PART]
    case 'int4':
      return [packedWords(format, rows, cols, 4, 'pack_int4'), plain(scale), SHAPE_PART]
    case 'mxfp8':
      return [plain(weight), plain(scale)]
    case 'mxfp4':
      return [{ ...plain(weight), suffix: 'weight_packed' }, plain(scale)]
    case 'nvfp4': {
      const packed = { role: 'weight', suffix: 'weight_packed', dtype, shape, transform: undefined } as const
      if (scale2 === undefined) return [packed, plain(scale)]
      const global = {
        ...plain(scale2, [1]),
        suffix: 'weight_global_scale',
        transform: 'reciprocal',
      } as const
      return [packed, plain(scale), global]
    }
  }
}

const SHAPE_PART: DialectPart = {
  role: 'weight_shape',
  suffix: 'weight_shape',
  dtype: 'I64',
  shape: [2],
  transform: undefined,
}

function plain(part: StoredPart, shape: readonly number[] = part.shape): DialectPart {
  return { role: part.suffix, suffix: part.suffix, dtype: part.dtype, shape, transform: undefined }
}

function packedWords(
  format: ModuleFormat,
  rows: number,
  cols: number,
  bits: 4 | 8,
  transform: StoredTransform,
): DialectPart {
  const perWord = 32 / bits
  if (cols % perWord !== 0) {
    throw new AppError('BLOCK_SIZE_UNSUPPORTED', {
      subject: formatName(format),
      problem: `${String(cols)} columns do not fill whole 32-bit words of ${String(perWord)} codes`,
      remedy: 'leave this module unquantized or choose another format for it',
    })
  }
  return { role: 'weight', suffix: 'weight_packed', dtype: 'I32', shape: [rows, cols / perWord], transform }
}

function formatName({ format, blockSize }: ModuleFormat): string {
  return blockSize === undefined ? format : `${format} with blocks of ${String(blockSize)}`
}

function unsupported(subject: string, problem: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject,
    problem: `compressed-tensors: ${problem}`,
    remedy: 'use --dialect modelopt, or another format for this module',
  })
}
