/**
 * ModelOpt's two descriptions as declarations: `quantization_config` of config.json (flat) and hf_quant_config.json (nested).
 * Source: what vLLM's and SGLang's modelopt readers take from them.
 */
import { asNumber, asObject, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { WeightFormat } from '../quant/formats.ts'
import type { InputArithmetic } from '../quant/inputs/input-arithmetic.ts'
import type { DeclaredKv, Declaration } from './declaration.ts'
import { modeloptIgnore } from './ignore-list.ts'
import { moduleFormat, type StoredFormat } from './stored-format.ts'

interface Algorithm {
  readonly format: WeightFormat
  readonly input: StoredFormat['input']
}

/** Upper-case names, because readers compare so. Weight-only NVFP4 tolerates input scales, which readers discard. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map<string, Algorithm>([
  ['FP8', { format: 'fp8', input: 'required' }],
  ['FP8_PER_CHANNEL_PER_TOKEN', { format: 'fp8_pc_pt', input: 'none' }],
  ['FP8_PB_WO', { format: 'fp8_pb_wo', input: 'none' }],
  ['W8A8_SQ_PER_CHANNEL', { format: 'int8_sq', input: 'required' }],
  ['W8A16', { format: 'int8_wo', input: 'none' }],
  ['W4A16_AWQ', { format: 'int4_awq', input: 'none' }],
  ['NVFP4', { format: 'nvfp4', input: 'required' }],
  ['W4A16_NVFP4', { format: 'w4a16_nvfp4', input: 'optional' }],
  ['W4A8_NVFP4_FP8', { format: 'w4a8_nvfp4_fp8', input: 'required' }],
  ['MXFP8', { format: 'mxfp8', input: 'none' }],
  ['MXFP4', { format: 'mxfp4', input: 'none' }],
  ['W4A8_MXFP4_FP8', { format: 'w4a8_mxfp4_fp8', input: 'optional' }],
])

const MIXED = 'MIXED_PRECISION'
/** Block sizes that readers assume where none is declared. */
const DEFAULT_GROUP_SIZE = 16
const OTHER_DEFAULTS: Partial<Record<WeightFormat, number>> = { int4_awq: 128, w4a8_nvfp4_fp8: 32 }
/** Keys that vLLM's reader of the nested form demands, by algorithm; they may be null, not absent. */
const DEMANDED: ReadonlyMap<string, readonly string[]> = new Map([
  ['NVFP4', ['group_size', 'kv_cache_quant_algo', 'exclude_modules']],
  ['W4A16_NVFP4', ['group_size', 'kv_cache_quant_algo', 'exclude_modules']],
  ['MXFP8', ['kv_cache_quant_algo', 'exclude_modules']],
])

/** `quantization_config` of config.json. Throws CONFIG_INVALID for an exclude list beyond the limits. */
export function readFlat(config: JsonObject): Declaration {
  const groups = Object.values(asObject(config['config_groups']) ?? {})
  const top = asNumber(config['group_size'])
  const nested = groups.map((group) => asNumber(asObject(asObject(group)?.['weights'])?.['group_size']))
  return declaration('config.json', config, {
    ignore: config['ignore'],
    kv: flatKv(config['kv_cache_scheme']),
    groupSizes: [top, ...nested],
    hasTopLevelGroupSize: top !== undefined,
    missingKeys: [],
  })
}

/** `quantization` of hf_quant_config.json. Throws CONFIG_INVALID for an exclude list beyond the limits. */
export function readNested(file: JsonObject): Declaration {
  const quantization = asObject(file['quantization']) ?? {}
  const demanded = DEMANDED.get(algorithmName(quantization['quant_algo'])) ?? []
  return declaration('hf_quant_config.json', quantization, {
    ignore: quantization['exclude_modules'],
    kv: kvOf(quantization['kv_cache_quant_algo']),
    groupSizes: [asNumber(quantization['group_size'])],
    hasTopLevelGroupSize: quantization['group_size'] !== undefined,
    missingKeys: demanded.filter((key) => !Object.hasOwn(quantization, key)),
  })
}

interface FileParts {
  readonly ignore: JsonValue | undefined
  readonly kv: DeclaredKv
  readonly groupSizes: readonly (number | undefined)[]
  readonly hasTopLevelGroupSize: boolean
  readonly missingKeys: readonly string[]
}

function declaration(fileName: string, quantization: JsonObject, parts: FileParts): Declaration {
  const algorithm = algorithmName(quantization['quant_algo'])
  const ignore = modeloptIgnore(strings(parts.ignore), fileName)
  const layers = algorithm === MIXED ? readLayers(quantization) : undefined
  const groupSizes = [...new Set(parts.groupSizes.filter((size) => size !== undefined))]
  const names = layers === undefined ? [algorithm] : [...layers.values()].map(({ name }) => name)
  const known = (name: string): boolean => name === 'none' || ALGORITHMS.has(name)
  const uniform = storedFormat(algorithm, groupSizes[0])
  return {
    fileName,
    dialect: 'modelopt',
    algorithm,
    kv: parts.kv,
    groupSizes,
    hasTopLevelGroupSize: parts.hasTopLevelGroupSize,
    ignore,
    layers:
      layers &&
      new Map(
        [...layers].map(([module, { name, groupSize }]) => [module, `${name} ${String(groupSize ?? '-')}`]),
      ),
    unknownAlgorithms: [...new Set(names.filter((name) => !known(name)))],
    missingKeys: parts.missingKeys,
    formatOf: layers === undefined ? uniformLookup(uniform, ignore) : mixedLookup(layers),
  }
}

interface Layer {
  readonly name: string
  readonly groupSize: number | undefined
}

function readLayers(quantization: JsonObject): ReadonlyMap<string, Layer> {
  const entries = Object.entries(asObject(quantization['quantized_layers']) ?? {})
  return new Map(
    entries.map(([module, value]) => {
      const layer = asObject(value)
      return [
        module,
        { name: algorithmName(layer?.['quant_algo']), groupSize: asNumber(layer?.['group_size']) },
      ]
    }),
  )
}

/** Experts are excluded as a block or, by older tools, one by one; the first expert stands for all. */
function uniformLookup(
  format: StoredFormat | undefined,
  ignore: Declaration['ignore'],
): Declaration['formatOf'] {
  return (module, kind) => {
    const isIgnored = ignore.covers(module) || (kind === 'experts' && ignore.covers(`${module}.0.gate_proj`))
    return isIgnored ? undefined : format
  }
}

/** Exact key first; then, for experts, the first entry of a single expert, which engines take for the whole layer. */
function mixedLookup(layers: ReadonlyMap<string, Layer>): Declaration['formatOf'] {
  const formats = new Map<string, StoredFormat | undefined>()
  const add = (module: string, { name, groupSize }: Layer): void => {
    if (!formats.has(module)) formats.set(module, storedFormat(name, groupSize))
  }
  for (const [module, layer] of layers) add(module, layer)
  for (const [module, layer] of layers) {
    const experts = /^(.*\.experts)\.\d+\./.exec(module)?.[1]
    if (experts !== undefined) add(experts, layer)
  }
  return (module) => formats.get(module)
}

function storedFormat(name: string, declaredSize: number | undefined): StoredFormat | undefined {
  const algorithm = ALGORITHMS.get(name)
  if (algorithm === undefined) return undefined
  const { format, input } = algorithm
  const groupSize = declaredSize ?? OTHER_DEFAULTS[format] ?? DEFAULT_GROUP_SIZE
  const hasBlocks = !['fp8', 'fp8_pc_pt', 'fp8_pb_wo', 'int8_sq', 'int8_wo'].includes(format)
  // MXFP4 and MXFP8 have blocks of 32 by definition; ModelOpt does not always write the number.
  const blockSize = format === 'mxfp4' || format === 'mxfp8' || format === 'w4a8_mxfp4_fp8' ? 32 : groupSize
  return {
    dialect: 'modelopt',
    name,
    format: moduleFormat(format, hasBlocks ? blockSize : undefined),
    packedBits: undefined,
    hasZeroPoint: false,
    input,
    inputArithmetic: inputArithmetic(format, blockSize),
  }
}

/**
 * What the algorithm's name says of inputs. `MXFP4` is written for 16-bit and MXFP4 inputs alike and taken as the latter; FP8 inputs of an
 * MXFP4 weight have a scale of each token where none is stored (see quality/input-scales.ts).
 */
function inputArithmetic(format: WeightFormat, blockSize: number): InputArithmetic | undefined {
  switch (format) {
    case 'fp8':
    case 'w4a8_nvfp4_fp8':
    case 'w4a8_mxfp4_fp8':
      return { kind: 'fp8_tensor' }
    case 'fp8_pc_pt':
      return { kind: 'fp8_token' }
    case 'int8_sq':
      return { kind: 'int8_tensor' }
    case 'nvfp4':
    case 'mxfp8':
    case 'mxfp4':
      return { kind: format, blockSize }
    default:
      return undefined
  }
}

function algorithmName(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value.toUpperCase() : 'none'
}

/** Only an 8-bit float scheme, or ModelOpt's plain string. */
function flatKv(value: JsonValue | undefined): DeclaredKv {
  if (typeof value === 'string') return kvOf(value)
  const scheme = asObject(value)
  return scheme?.['type'] === 'float' && asNumber(scheme['num_bits']) === 8 ? 'fp8' : 'none'
}

function kvOf(value: JsonValue | undefined): DeclaredKv {
  const name = algorithmName(value)
  return name === 'FP8' ? 'fp8' : name === 'NVFP4' ? 'nvfp4' : 'none'
}

export function strings(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}
