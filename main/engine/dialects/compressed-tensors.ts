/**
 * The compressed-tensors dialect: NVFP4 tensor scales are stored as reciprocals, scalars have one element, integer weights without quantized
 * inputs are packed into int32 along the input dimension. Source: schemes and compressors of compressed-tensors, loaders of vLLM.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { storedParts, TILE_SIZE, weightLayout, type StoredPart } from '../quant/layout.ts'
import type { StoredTransform } from '../quant/packing.ts'
import type { Dialect, DialectPart } from './dialect.ts'

/** The only block size that schemes and loaders there have: what a recipe wants in larger blocks is quantized in blocks of 16. */
const NVFP4_BLOCK = 16

export const compressedTensors: Dialect = {
  name: 'compressed-tensors',
  adopt(module, format) {
    const found = obstacle(format)
    if (found !== undefined) {
      const problem = `${formatName(format)} has no counterpart: ${found.reason}`
      throw unsupported(module, problem, found.remedy)
    }
    // Engines take INT8 experts only with inputs quantized per token, so the calibrated scale has no place here.
    if (format.format === 'int8_sq') return { ...format, inputScale: undefined, hasDynamicInput: true }
    return weightLayout(format.format) === 'nvfp4' ? { ...format, blockSize: NVFP4_BLOCK } : format
  },
  adoptKv(kv) {
    if (kv !== 'nvfp4' && kv !== 'nvfp4_cast') return kv
    throw unsupported(
      'KV cache',
      `${kv} has no counterpart: engines read an 8-bit float kv_cache_scheme only`,
      'use --kv fp8 or --kv fp8_cast, or --dialect modelopt, whose hf_quant_config.json declares an NVFP4 cache',
    )
  },
  parts: (format, rows, cols) => partsOf(format, rows, cols),
  inputScale: (format) =>
    weightLayout(format.format) === 'nvfp4'
      ? { suffix: 'input_global_scale', shape: [1], transform: 'reciprocal' }
      : { suffix: 'input_scale', shape: [1], transform: undefined },
  kvScale: (module, letter) => ({ name: `${module}.${letter}_scale`, shape: [1] }),
}

/** Why a format cannot be written, and what can be used instead; undefined when it can. */
function obstacle(format: ModuleFormat): { readonly reason: string; readonly remedy: string } | undefined {
  switch (format.format) {
    case 'w4a8_nvfp4_fp8':
      return {
        reason: 'its loaders take NVFP4 weights with NVFP4 or 16-bit inputs, not with FP8 inputs',
        remedy: 'use the recipe nvfp4 or w4a16_nvfp4, or --dialect modelopt',
      }
    case 'w4a8_mxfp4_fp8':
      return {
        reason: 'its loaders take MXFP4 weights with MXFP4 or 16-bit inputs, not with FP8 inputs',
        remedy: 'use the recipe mxfp4, or --dialect modelopt',
      }
    case 'nvfp4':
    case 'nvfp4_static':
      if (format.inputScale !== undefined) return undefined
      return {
        reason: 'NVFP4 inputs need a stored input_global_scale, and no input maximum is known',
        remedy: 'let the recipe calibrate the inputs, or leave them in 16 bit (w4a16_nvfp4)',
      }
    default:
      return undefined
  }
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

function unsupported(subject: string, problem: string, remedy: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', { subject, problem: `compressed-tensors: ${problem}`, remedy })
}
