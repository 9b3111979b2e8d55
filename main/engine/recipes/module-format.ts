/**
 * From the quantizers of a module to the format it is stored in, and from the K and V quantizers to the KV cache format.
 * Source: ModelOpt's get_quantization_format and its KV cache dtype rule, as tables of what serving engines can read.
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

/** Number formats by `describeQuantizer`. */
const NUMBER_KINDS = {
  'e4m3 per tensor': 'fp8',
  'e4m3 per axis 0': 'fp8_channel',
  'e4m3 per token': 'fp8_token',
  'e4m3 in static tiles of 128 with f32 scales': 'fp8_tile',
  'e4m3 in dynamic blocks with e8m0 scales': 'mxfp8',
  'int8 per tensor': 'int8',
  'int8 per axis 0': 'int8_channel',
  'int4 in static blocks with f32 scales': 'int4',
  'e2m1 in dynamic blocks with e4m3 scales': 'nvfp4',
  'e2m1 in static blocks with e4m3 scales': 'nvfp4_static',
  'e2m1 in dynamic blocks with e8m0 scales': 'mxfp4',
} as const

type NumberKind = (typeof NUMBER_KINDS)[keyof typeof NUMBER_KINDS]

/** Weight format by number kind of the weight, then of the input. Everything else cannot be exported. */
const WEIGHT_FORMATS: Readonly<
  Partial<Record<NumberKind, Partial<Record<NumberKind | 'unquantized', WeightFormat>>>>
> = {
  fp8: { unquantized: 'fp8', fp8: 'fp8' },
  fp8_channel: { unquantized: 'fp8_pc_pt', fp8_token: 'fp8_pc_pt' },
  fp8_tile: { unquantized: 'fp8_pb_wo' },
  mxfp8: { unquantized: 'mxfp8', mxfp8: 'mxfp8' },
  int8_channel: { unquantized: 'int8_wo', int8: 'int8_sq' },
  int4: { unquantized: 'int4_awq', fp8_token: 'w4a8_int4_fp8' },
  nvfp4: { unquantized: 'w4a16_nvfp4', nvfp4: 'nvfp4', fp8: 'w4a8_nvfp4_fp8' },
  nvfp4_static: { unquantized: 'w4a16_nvfp4_static', nvfp4: 'nvfp4_static' },
  mxfp4: { unquantized: 'mxfp4', mxfp4: 'mxfp4', fp8: 'w4a8_mxfp4_fp8' },
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
  const hasDynamicInput = input !== undefined && activationDivisor(format) === undefined
  return {
    format,
    blockSize: format === 'fp8_pb_wo' ? undefined : weight.block?.last,
    inputScale: inputScale(format, input, rules),
    ...(search === undefined ? {} : { search }),
    ...(hasDynamicInput ? { hasDynamicInput } : {}),
  }
}

/** KV format of one attention module. Throws RECIPE_GROUP_MIXED when K and V differ, FORMAT_UNSUPPORTED for other than FP8 and NVFP4. */
export function kvFormat(module: string, key: QuantizerState, value: QuantizerState): KvCacheFormat {
  if (JSON.stringify(key) !== JSON.stringify(value)) {
    throw new AppError('RECIPE_GROUP_MIXED', {
      subject: module,
      problem: 'keys and values of the cache would get different formats',
      remedy: 'give k_bmm_quantizer and v_bmm_quantizer the same cfg',
    })
  }
  if (key === undefined) return 'none'
  if (key.constantAmax !== undefined) {
    throw unsupported(module, 'a KV cache with a constant maximum other than the format bound is not written')
  }
  const kind = numberKind(key)
  if (kind === 'fp8') return key.usesConstantAmax ? 'fp8_cast' : 'fp8'
  if (kind === 'nvfp4') return key.usesConstantAmax ? 'nvfp4_cast' : 'nvfp4'
  throw unsupported(module, `a KV cache of ${describeQuantizer(key)} is not written, only FP8 and NVFP4 are`)
}

function weightFormat(module: string, weight: QuantizerAttributes, input: QuantizerState): WeightFormat {
  const weightKind = numberKind(weight)
  const inputKind = input === undefined ? 'unquantized' : numberKind(input)
  const formats = weightKind === undefined ? undefined : WEIGHT_FORMATS[weightKind]
  const format = inputKind === undefined ? undefined : formats?.[inputKind]
  if (format !== undefined && weight.isFakeQuant) return format
  const inputs = input === undefined ? '16-bit inputs' : `inputs of ${describeQuantizer(input)}`
  const stored = weight.isFakeQuant ? '' : ' stored compressed'
  throw unsupported(
    module,
    `weights of ${describeQuantizer(weight)}${stored} with ${inputs} have no export format`,
  )
}

function numberKind(quantizer: QuantizerAttributes): NumberKind | undefined {
  const description = describeQuantizer(quantizer)
  return isNumberKindKey(description) ? NUMBER_KINDS[description] : undefined
}

function isNumberKindKey(text: string): text is keyof typeof NUMBER_KINDS {
  return Object.hasOwn(NUMBER_KINDS, text)
}

/** Numbers and granularity in words; block sizes are left to the format. */
function describeQuantizer({ numBits, axis, block, isDynamic }: QuantizerAttributes): string {
  const numbers = typeof numBits === 'number' ? `int${String(numBits)}` : numBits
  if (block === undefined) {
    if (isDynamic) return `${numbers} per token`
    return axis === undefined ? `${numbers} per tensor` : `${numbers} per axis ${String(axis)}`
  }
  const scales = block.scaleBits === undefined ? 'f32' : String(block.scaleBits)
  const kind = block.isDynamic ? 'dynamic' : 'static'
  return `${numbers} in ${kind} ${blockShape(block)} with ${scales} scales`
}

function blockShape({ last, secondLast }: BlockSizes): string {
  if (secondLast === undefined) return 'blocks'
  return last === secondLast ? `tiles of ${String(last)}` : `tiles of ${String(secondLast)} x ${String(last)}`
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
  if (input === undefined || divisor === undefined || input.usesConstantAmax) return undefined
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
