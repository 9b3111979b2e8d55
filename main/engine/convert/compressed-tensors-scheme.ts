/** From a config group of compressed-tensors to a format. Source: scheme presets of compressed-tensors. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { asNumber, asObject, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { ModuleFormat, WeightFormat } from '../quant/formats.ts'
import { TILE_SIZE } from '../quant/layout.ts'

/** The arguments that decide; everything else is about how scales were found. */
interface Arguments {
  readonly kind: 'int' | 'float'
  readonly bits: number
  readonly strategy: string
  readonly groupSize: number | undefined
  readonly dynamic: 'static' | 'dynamic' | 'local'
}

/** `format` is the group's, or that of the whole configuration. Throws DIALECT_UNSUPPORTED, CONFIG_INVALID. */
export function compressedTensorsScheme(
  group: string,
  source: JsonObject,
  format: string | undefined,
): ModuleFormat {
  const weightSource = asObject(source['weights'])
  if (weightSource === undefined) throw unsupported(group, 'it quantizes no weights')
  if (weightSource['symmetric'] === false) throw unsupported(group, 'its weights have zero points')
  if ((weightSource['actorder'] ?? null) !== null && text(weightSource['actorder']) !== 'weight')
    throw unsupported(group, 'its columns are grouped by activation order')
  if ((source['output_activations'] ?? null) !== null) throw unsupported(group, 'it quantizes outputs')
  const weights = readArguments(group, weightSource)
  const inputSource = asObject(source['input_activations'])
  const inputs = inputSource === undefined ? undefined : readArguments(group, inputSource)
  const found =
    weights.kind === 'int' ? intFormat(weights, inputs) : floatFormat(weights, inputs, weightSource)
  if (found !== undefined) return found
  const given = inputs === undefined ? '16-bit inputs' : `inputs ${describe(inputs)}`
  throw unsupported(group, `weights ${describe(weights)} (${format ?? 'no format'}) with ${given}`)
}

function intFormat(weights: Arguments, inputs: Arguments | undefined): ModuleFormat | undefined {
  const { bits, strategy, groupSize } = weights
  switch (`${String(bits)} ${strategy}, ${inputText(inputs)}`) {
    case '8 channel, none':
      return formatOf('int8_wo', undefined, false)
    case '8 channel, int8 token dynamic':
      return formatOf('int8_sq', undefined, true)
    case '4 group, none':
      return formatOf('int4_awq', groupSize, false)
    case '4 group, float8 token dynamic':
      return formatOf('w4a8_int4_fp8', groupSize, true)
    default:
      return undefined
  }
}

function inputText(inputs: Arguments | undefined): string {
  if (inputs === undefined) return 'none'
  return `${inputs.kind}${String(inputs.bits)} ${inputs.strategy} ${inputs.dynamic}`
}

function floatFormat(
  weights: Arguments,
  inputs: Arguments | undefined,
  source: JsonObject,
): ModuleFormat | undefined {
  if (inputs !== undefined && (inputs.kind !== 'float' || inputs.bits !== weights.bits)) return undefined
  switch (weights.strategy) {
    case 'tensor_group':
      return weights.bits === 4 ? nvfp4Format(weights.groupSize, inputs) : undefined
    case 'group':
      return weights.groupSize === 32 ? mxFormat(weights.bits, inputs) : undefined
    default:
      return weights.bits === 8 ? fp8Format(weights.strategy, inputs, source) : undefined
  }
}

function mxFormat(bits: number, inputs: Arguments | undefined): ModuleFormat | undefined {
  if (inputs !== undefined && inputs.dynamic !== 'dynamic') return undefined
  if (bits === 4) return formatOf('mxfp4', 32, inputs !== undefined)
  return bits === 8 ? formatOf('mxfp8', 32, inputs !== undefined) : undefined
}

function fp8Format(
  strategy: string,
  inputs: Arguments | undefined,
  source: JsonObject,
): ModuleFormat | undefined {
  const inputKind = inputs === undefined ? 'none' : `${inputs.dynamic} ${inputs.strategy}`
  switch (`${strategy}, ${inputKind}`) {
    case 'tensor, none':
    case 'tensor, static tensor':
      return formatOf('fp8', undefined, false)
    case 'channel, none':
    case 'channel, dynamic token':
      return formatOf('fp8_pc_pt', undefined, inputs !== undefined)
    case 'block, none':
    case 'block, dynamic group':
      return isTileStructure(source['block_structure']) ? formatOf('fp8_pb_wo', undefined, false) : undefined
    default:
      return undefined
  }
}

function nvfp4Format(groupSize: number | undefined, inputs: Arguments | undefined): ModuleFormat | undefined {
  if (inputs === undefined) return formatOf('w4a16_nvfp4', groupSize, false)
  return inputs.strategy === 'tensor_group' && inputs.dynamic === 'local'
    ? formatOf('nvfp4', groupSize, false)
    : undefined
}

function formatOf(format: WeightFormat, blockSize: number | undefined, isDynamic: boolean): ModuleFormat {
  const base = { format, blockSize, inputScale: undefined }
  return isDynamic ? { ...base, hasDynamicInput: true } : base
}

function readArguments(group: string, source: JsonObject): Arguments {
  const kind = text(source['type']) ?? 'int'
  const dynamic = source['dynamic'] ?? false
  const groupSize = asNumber(source['group_size'])
  const inferred = groupSize === undefined ? 'tensor' : groupSize === -1 ? 'channel' : 'group'
  if (kind !== 'int' && kind !== 'float') throw unsupported(group, `numbers of type ${JSON.stringify(kind)}`)
  return {
    kind,
    bits: asNumber(source['num_bits']) ?? 8,
    strategy: text(source['strategy']) ?? inferred,
    groupSize: groupSize === undefined || groupSize < 1 ? undefined : groupSize,
    dynamic: dynamic === true ? 'dynamic' : dynamic === 'local' ? 'local' : 'static',
  }
}

/** `[128, 128]`, or `"128x128"` as older versions wrote it. */
function isTileStructure(value: JsonValue | undefined): boolean {
  if (typeof value === 'string') return value === `${String(TILE_SIZE)}x${String(TILE_SIZE)}`
  return Array.isArray(value) && value.length === 2 && value.every((size) => asNumber(size) === TILE_SIZE)
}

function describe({ kind, bits, strategy, groupSize, dynamic }: Arguments): string {
  const size = groupSize === undefined ? '' : ` of ${String(groupSize)}`
  return `${kind}${String(bits)} by ${strategy}${size}, ${dynamic}`
}

function unsupported(group: string, problem: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject: `config.json: ${group}`,
    problem: `${problem}: no other dialect has a counterpart`,
    remedy: 'convert an export in a format that both dialects have',
  })
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
