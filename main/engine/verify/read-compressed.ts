/** The quantization_config of compressed-tensors as a declaration. Source: config and scheme definitions of compressed-tensors. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { asNumber, asObject, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { WeightFormat } from '../quant/formats.ts'
import type { InputArithmetic } from '../quant/inputs/input-arithmetic.ts'
import type { Declaration } from './declaration.ts'
import { compressedIgnore, isRegexEntry, regexOf } from './ignore-list.ts'
import { strings } from './read-modelopt.ts'
import { moduleFormat, type StoredFormat } from './stored-format.ts'

/** CWE-770: groups are tried one after the other. */
const MAX_GROUPS = 256
const MX_BLOCK = 32

interface Group {
  readonly stored: StoredFormat
  covers(module: string, className: string): boolean
}

const CLASS_NAMES = {
  linear: 'Linear',
  experts: 'Linear',
  router: 'Linear',
  conv: 'Conv1d',
  embedding: 'Embedding',
} as const

/** Throws CONFIG_INVALID for malformed patterns, FORMAT_UNSUPPORTED for a scheme that is not known, naming it. */
export function readCompressed(config: JsonObject): Declaration {
  const entries = Object.entries(asObject(config['config_groups']) ?? {})
  if (entries.length > MAX_GROUPS) throw invalid('config_groups', `${String(entries.length)} groups`)
  const fileFormat = text(config['format'])
  const groups = entries.map(([name, value]) => readGroup(name, asObject(value) ?? {}, fileFormat))
  const ignore = compressedIgnore(strings(config['ignore']), 'config.json')
  const kv = asObject(config['kv_cache_scheme'])
  const sizes = groups.flatMap(({ stored }) => stored.format.blockSize ?? [])
  const names = [...new Set(groups.map(({ stored }) => stored.name))]
  return {
    fileName: 'config.json',
    dialect: 'compressed-tensors',
    algorithm: names.length > 1 ? 'MIXED_PRECISION' : (names[0] ?? 'none'),
    kv: kv?.['type'] === 'float' && asNumber(kv['num_bits']) === 8 ? 'fp8' : 'none',
    groupSizes: [...new Set(sizes)],
    hasTopLevelGroupSize: true,
    ignore,
    layers: undefined,
    unknownAlgorithms: [],
    missingKeys: [],
    formatOf(module, kind) {
      // Experts are linears of their own in this dialect; the first one stands for the layer.
      const name = kind === 'experts' ? `${module}.0.gate_proj` : module
      if (ignore.covers(name) || ignore.covers(module)) return undefined
      return groups.find((group) => group.covers(name, CLASS_NAMES[kind]))?.stored
    },
  }
}

function readGroup(name: string, group: JsonObject, fileFormat: string | undefined): Group {
  const targets = strings(group['targets'])
  const exact = new Set(targets.filter((target) => !isRegexEntry(target)))
  const regexes = targets.filter(isRegexEntry).map((target) => regexOf(target, 'config.json'))
  return {
    stored: readScheme(name, group, text(group['format']) ?? fileFormat),
    covers: (module, className) =>
      exact.has(className) || exact.has(module) || regexes.some((regex) => regex.matches(module)),
  }
}

function readScheme(name: string, group: JsonObject, format: string | undefined): StoredFormat {
  const weights = asObject(group['weights']) ?? {}
  const inputs = asObject(group['input_activations'])
  const bits = asNumber(weights['num_bits']) ?? 0
  const scheme = `${text(weights['type']) ?? '?'}${String(bits)} ${text(weights['strategy']) ?? '?'}`
  const isPacked = format === 'pack-quantized' && scheme.startsWith('int') && bits >= 2 && bits <= 8
  const arithmetic = inputArithmetic(inputs)
  const known = schemeFormat(isPacked ? packedScheme(bits, arithmetic) : scheme, inputs !== undefined)
  if (known === undefined) {
    throw new AppError('FORMAT_UNSUPPORTED', {
      subject: `config.json: ${name}`,
      problem: `weights of kind ${scheme} in format ${format ?? '?'} are not known`,
      remedy: 'verify this checkpoint with the tool that wrote it',
    })
  }
  const size = asNumber(weights['group_size'])
  const hasBlocks = known.hasBlocks && size !== undefined && size > 0
  return {
    dialect: 'compressed-tensors',
    name: format ?? scheme,
    format: moduleFormat(known.format, hasBlocks ? size : undefined),
    packedBits: isPacked ? bits : undefined,
    hasZeroPoint: weights['symmetric'] === false,
    input: storesInputScale(known.format, inputs) ? 'required' : 'none',
    inputArithmetic: arithmetic,
  }
}

function packedScheme(bits: number, inputs: StoredFormat['inputArithmetic']): string {
  const isToken = inputs !== undefined && inputs !== 'unknown' && inputs.kind === 'fp8_token'
  return bits === 4 && isToken ? 'packed, fp8 token' : 'packed'
}

/** A dynamic scale of the whole tensor depends on what else is in the batch; a scale of each token stands for it. */
function inputArithmetic(inputs: JsonObject | undefined): InputArithmetic | 'unknown' | undefined {
  if (inputs === undefined) return undefined
  const strategy = text(inputs['strategy'])
  const kind = `${text(inputs['type']) ?? '?'}${String(asNumber(inputs['num_bits']))} ${strategy ?? '?'}`
  const isStatic = (inputs['dynamic'] ?? false) === false
  const blockSize = asNumber(inputs['group_size']) ?? 0
  switch (kind) {
    case 'float8 tensor':
      return { kind: isStatic ? 'fp8_tensor' : 'fp8_token' }
    case 'float8 token':
      return { kind: 'fp8_token' }
    case 'int8 tensor':
      return { kind: isStatic ? 'int8_tensor' : 'int8_token' }
    case 'int8 token':
      return { kind: 'int8_token' }
    case 'float4 tensor_group':
      return blockSize > 0 ? { kind: 'nvfp4', blockSize } : 'unknown'
    case 'float4 group':
      return blockSize > 0 ? { kind: 'mxfp4', blockSize } : 'unknown'
    case 'float8 group':
      if (blockSize <= 0) return 'unknown'
      return text(inputs['scale_dtype']) === 'torch.uint8' || blockSize === MX_BLOCK
        ? { kind: 'mxfp8', blockSize }
        : { kind: 'fp8_group', blockSize }
    default:
      return 'unknown'
  }
}

function schemeFormat(
  scheme: string,
  hasInputs: boolean,
): { readonly format: WeightFormat; readonly hasBlocks: boolean } | undefined {
  switch (scheme) {
    case 'packed':
      return { format: 'int4_awq', hasBlocks: true }
    case 'packed, fp8 token':
      return { format: 'w4a8_int4_fp8', hasBlocks: true }
    case 'float8 tensor':
      return { format: 'fp8', hasBlocks: false }
    case 'float8 channel':
      return { format: 'fp8_pc_pt', hasBlocks: false }
    case 'float8 block':
      return { format: 'fp8_pb_wo', hasBlocks: false }
    case 'float8 group':
      return { format: 'mxfp8', hasBlocks: true }
    case 'float4 tensor_group':
      return { format: hasInputs ? 'nvfp4' : 'w4a16_nvfp4', hasBlocks: true }
    case 'float4 group':
      return { format: 'mxfp4', hasBlocks: true }
    case 'int8 channel':
      return { format: hasInputs ? 'int8_sq' : 'int8_wo', hasBlocks: false }
    default:
      return undefined
  }
}

/** Static scales are stored. Those of NVFP4 are dynamic per block (`local`), yet relative to a stored global scale. */
function storesInputScale(format: WeightFormat, inputs: JsonObject | undefined): boolean {
  if (inputs === undefined || format === 'mxfp4' || format === 'mxfp8') return false
  return (inputs['dynamic'] ?? false) === false || (format === 'nvfp4' && inputs['dynamic'] === 'local')
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', {
    subject: `config.json: ${subject}`,
    problem,
    remedy: 'get an undamaged copy of config.json',
  })
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
