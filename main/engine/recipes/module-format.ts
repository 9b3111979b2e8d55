/**
 * From the quantizers of a module to the format it is stored in, and from the K and V quantizers to the KV cache format.
 * Source: ModelOpt's get_quantization_format and its KV cache dtype rule.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { KvCacheFormat, ModuleFormat, WeightFormat } from '../quant/formats.ts'
import { activationDivisor } from '../quant/layout.ts'
import type { BlockSizes, CalibrationMethod, QuantizerAttributes } from './recipe.ts'

/** A quantizer after all entries; undefined = disabled. */
export type QuantizerState = QuantizerAttributes | undefined

export interface FormatRules {
  readonly method: CalibrationMethod
  readonly hasScaleSweep: boolean
}

/**
 * Format of one weight; undefined when it stays as it is.
 * Throws FORMAT_UNSUPPORTED, naming `module`, for a combination that no serving engine's ModelOpt reader knows.
 */
export function moduleFormat(
  module: string,
  weight: QuantizerState,
  input: QuantizerState,
  rules: FormatRules,
): ModuleFormat | undefined {
  if (weight === undefined) {
    if (input === undefined) return undefined
    throw unsupported(module, 'its inputs are quantized but its weights are not')
  }
  const format = weightFormat(module, weight, input)
  const search = staticSearch(module, weight.block, rules)
  const base = {
    format,
    blockSize: storedBlockSize(format, weight.block),
    inputScale: inputScale(format, input, rules),
  }
  return search === undefined ? base : { ...base, search }
}

/** KV format of one attention module. Throws FORMAT_UNSUPPORTED for anything that is not FP8 or NVFP4. */
export function kvFormat(module: string, key: QuantizerState, value: QuantizerState): KvCacheFormat {
  if (key === undefined && value === undefined) return 'none'
  if (key === undefined || value === undefined || JSON.stringify(key) !== JSON.stringify(value)) {
    throw new AppError('RECIPE_GROUP_MIXED', {
      subject: module,
      problem: 'keys and values of the cache would get different formats',
      remedy: 'give k_bmm_quantizer and v_bmm_quantizer the same cfg',
    })
  }
  if (key.constantAmax !== undefined) {
    throw unsupported(module, 'a KV cache with a constant maximum other than the format bound is not written')
  }
  const isFp8 = key.numBits === 'e4m3' && key.block === undefined
  const isNvfp4 = key.numBits === 'e2m1' && key.block?.scaleBits === 'e4m3' && key.block.isDynamic
  if (isFp8) return key.usesConstantAmax ? 'fp8_cast' : 'fp8'
  if (isNvfp4) return key.usesConstantAmax ? 'nvfp4_cast' : 'nvfp4'
  throw unsupported(module, 'the KV cache can be FP8 (one scale) or NVFP4 (blocks of 16)')
}

function weightFormat(module: string, weight: QuantizerAttributes, input: QuantizerState): WeightFormat {
  if (typeof weight.numBits === 'number') return integerFormat(module, weight, input)
  if (weight.numBits === 'e4m3') return fp8Format(module, weight, input)
  if (weight.numBits === 'e2m1') return fp4Format(module, weight, input)
  throw unsupported(module, `weights of ${weight.numBits} have no export format`)
}

function integerFormat(module: string, weight: QuantizerAttributes, input: QuantizerState): WeightFormat {
  const { numBits, block, axis } = weight
  if (numBits === 4 && isOneBlock(block) && !block.isDynamic && block.scaleBits === undefined) {
    if (input !== undefined) throw unsupported(module, 'INT4 weights are written with 16-bit inputs only')
    return 'int4_awq'
  }
  if (numBits === 8 && block === undefined && axis === 0) {
    if (input === undefined) return 'int8_wo'
    if (input.numBits === 8 && input.block === undefined && input.axis === undefined) return 'int8_sq'
    throw unsupported(module, 'INT8 weights need INT8 inputs with one scale, or 16-bit inputs')
  }
  throw unsupported(module, 'integer weights are INT8 with axis 0, or INT4 in static blocks')
}

function fp8Format(module: string, weight: QuantizerAttributes, input: QuantizerState): WeightFormat {
  const { block, axis } = weight
  if (block === undefined) {
    if (axis === undefined) {
      if (input === undefined || isPlainFp8(input)) return 'fp8'
      throw unsupported(module, 'FP8 weights with one scale need FP8 inputs with one scale, or 16-bit inputs')
    }
    if (axis === 0 && (input === undefined || (input.numBits === 'e4m3' && input.isDynamic)))
      return 'fp8_pc_pt'
    throw unsupported(module, 'FP8 weights per channel need axis 0 and FP8 inputs per token')
  }
  if (isOneBlock(block) && block.isDynamic && block.scaleBits === 'e8m0') {
    if (input === undefined || isMx(input, 'e4m3')) return 'mxfp8'
    throw unsupported(module, 'MXFP8 weights need MXFP8 inputs, or 16-bit inputs')
  }
  const isTile = block.last === 128 && block.secondLast === 128 && !block.isDynamic
  if (isTile && weight.isFakeQuant && input === undefined) return 'fp8_pb_wo'
  throw unsupported(module, 'FP8 weights in blocks are 128 x 128 tiles with 16-bit inputs')
}

function fp4Format(module: string, weight: QuantizerAttributes, input: QuantizerState): WeightFormat {
  const { block } = weight
  if (!isOneBlock(block)) throw unsupported(module, 'FP4 weights need blocks along the last axis')
  const isStatic = !block.isDynamic
  const isFp8Input = input !== undefined && isPlainFp8(input)
  if (block.scaleBits === 'e4m3') {
    if (input === undefined) return isStatic ? 'w4a16_nvfp4_static' : 'w4a16_nvfp4'
    if (isFp8Input && !isStatic) return 'w4a8_nvfp4_fp8'
    const isNvfp4Input =
      input.numBits === 'e2m1' && input.block?.scaleBits === 'e4m3' && input.block.isDynamic
    if (isNvfp4Input) return isStatic ? 'nvfp4_static' : 'nvfp4'
    throw unsupported(module, 'NVFP4 weights need NVFP4, FP8 (dynamic blocks only) or 16-bit inputs')
  }
  if (block.scaleBits === 'e8m0' && block.isDynamic) {
    if (isFp8Input) return 'w4a8_mxfp4_fp8'
    if (input === undefined || isMx(input, 'e2m1')) return 'mxfp4'
    throw unsupported(module, 'MXFP4 weights need MXFP4, FP8 or 16-bit inputs')
  }
  throw unsupported(module, 'FP4 weights need E4M3 scales, or E8M0 scales in dynamic blocks')
}

function isOneBlock(
  block: BlockSizes | undefined,
): block is BlockSizes & { readonly last: number; readonly secondLast: undefined } {
  return block?.last !== undefined && block.secondLast === undefined
}

function isPlainFp8(input: QuantizerAttributes): boolean {
  return input.numBits === 'e4m3' && input.block === undefined && input.axis === undefined && !input.isDynamic
}

function isMx(input: QuantizerAttributes, numBits: 'e4m3' | 'e2m1'): boolean {
  return input.numBits === numBits && input.block?.scaleBits === 'e8m0' && input.block.isDynamic
}

function storedBlockSize(format: WeightFormat, block: BlockSizes | undefined): number | undefined {
  return format === 'fp8_pb_wo' ? undefined : block?.last
}

function staticSearch(
  module: string,
  block: BlockSizes | undefined,
  { method, hasScaleSweep }: FormatRules,
): ModuleFormat['search'] {
  if (block?.isFourOverSix === true) {
    if (method === 'mse' && !block.isDynamic) return 'four_over_six'
    throw unsupported(module, 'four_over_six needs static blocks and the algorithm mse')
  }
  if (block?.scaleBits !== 'e4m3' || block.isDynamic || method !== 'mse') return undefined
  if (hasScaleSweep) return 'mse'
  throw unsupported(module, 'the algorithm mse is available with fp8_scale_sweep only')
}

/** A stored input scale exists where the input has one maximum that is constant or was collected. */
function inputScale(
  format: WeightFormat,
  input: QuantizerState,
  { method }: FormatRules,
): ModuleFormat['inputScale'] {
  const divisor = activationDivisor(format)
  if (input === undefined || divisor === undefined || input.isDynamic || input.usesConstantAmax)
    return undefined
  if (input.constantAmax !== undefined) return { kind: 'constant', amax: input.constantAmax, divisor }
  return method === 'none' ? undefined : { kind: 'calibrated', divisor }
}

function unsupported(module: string, problem: string): AppError {
  return new AppError('FORMAT_UNSUPPORTED', {
    subject: module,
    problem,
    remedy: 'change the cfg of its quantizers in the recipe',
  })
}
