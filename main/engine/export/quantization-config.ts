/**
 * The two descriptions of a quantized export: `hf_quant_config.json` and `quantization_config` of config.json. Keys are in ModelOpt's order.
 * Source: ModelOpt's get_quant_config and convert_hf_quant_config_format.
 */
import { LosslessNumber } from 'lossless-json'
import { stringifyLikePython, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportProfile, KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { excludeModules, hardenedExcludeModules, mtpPatterns } from './exclude-list.ts'
import {
  kvCacheAlgorithm,
  layerPayload,
  MODELOPT_VERSION,
  type PlainJson,
  type PlainObject,
} from './quant-algo.ts'

export interface QuantizationDescription {
  readonly model: MoeModel
  readonly profile: ExportProfile
  readonly formats: ReadonlyMap<string, ModuleFormat>
  readonly kvCache: KvCacheFormat
}

const PRODUCER = { name: 'modelopt', version: MODELOPT_VERSION }

/** The contents of `quantization` in hf_quant_config.json; undefined when neither weights nor KV cache are quantized. */
export function describeQuantization(input: QuantizationDescription): PlainObject | undefined {
  const { model, profile, formats, kvCache } = input
  const kv = kvCacheAlgorithm(kvCache)
  const layers = model.modules.flatMap(({ name }) => {
    const format = formats.get(name)
    return format === undefined ? [] : [[name, layerPayload(format)] as const]
  })
  const [first] = layers
  if (first === undefined && kv === null) return undefined
  const isHardened = profile === 'hardened'
  if (new Set(layers.map(([, payload]) => JSON.stringify(payload))).size > 1) {
    const patterns = [
      ...mtpPatterns(model),
      ...(isHardened && model.mtpPrefixes.includes('mtp') ? ['mtp.fc'] : []),
    ]
    return {
      quant_algo: 'MIXED_PRECISION',
      kv_cache_quant_algo: kv,
      quantized_layers: Object.fromEntries(layers),
      ...(patterns.length === 0 ? {} : { exclude_modules: patterns }),
    }
  }
  const { quant_algo, ...rest }: PlainObject = first?.[1] ?? { quant_algo: null }
  const quantized = new Set(layers.map(([name]) => name))
  return {
    quant_algo: quant_algo ?? null,
    kv_cache_quant_algo: kv,
    ...rest,
    exclude_modules: (isHardened ? hardenedExcludeModules : excludeModules)(model, quantized),
  }
}

/** Exact text of hf_quant_config.json: indent 4, ASCII, no final newline. */
export function hfQuantConfigText(quantization: PlainObject): string {
  return stringifyLikePython(toLossless({ producer: PRODUCER, quantization }), 4)
}

/** `quantization_config` for config.json. The hardened profile repeats `group_size` at the top level, where vLLM looks for it. */
export function quantizationConfig(quantization: PlainObject, profile: ExportProfile): PlainObject {
  const {
    quant_algo,
    kv_cache_quant_algo: kv,
    quantized_layers: layers,
    group_size,
    exclude_modules,
  } = quantization
  const payloads = isPlainObject(layers) ? Object.entries(layers) : []
  const groups = quant_algo === 'MIXED_PRECISION' ? mixedGroups(payloads) : uniformGroups(quantization)
  const isGroupSizeRepeated = profile === 'hardened' && group_size !== undefined
  return {
    ...(groups === undefined ? {} : { config_groups: groups }),
    ...(layers === undefined ? {} : { quantized_layers: layers }),
    ignore: exclude_modules ?? [],
    quant_algo: quant_algo ?? null,
    ...(isGroupSizeRepeated ? { group_size } : {}),
    ...(kv === null || kv === undefined
      ? {}
      : { kv_cache_scheme: kv === 'FP8' ? { dynamic: false, num_bits: 8, type: 'float' } : kv }),
    producer: PRODUCER,
    quant_method: 'modelopt',
  }
}

/** The source's config.json with its numbers as they were, an old quantization_config replaced, the new one last; indent 4. */
export function configText(source: JsonObject, config: PlainObject | undefined): string {
  const kept = Object.entries(source).filter(([key]) => key !== 'quantization_config')
  const added = config === undefined ? [] : [['quantization_config', toLossless(config)] as const]
  return stringifyLikePython(Object.fromEntries([...kept, ...added]), 4)
}

function uniformGroups({ quant_algo, group_size }: PlainObject): PlainObject | undefined {
  const size = group_size === undefined ? {} : { group_size }
  const targets = ['Linear']
  if (quant_algo === 'FP8') return { group_0: { ...activations(8), ...weights('float', 8), targets } }
  if (quant_algo === 'NVFP4')
    return { group_0: { ...activations(4, size), ...weights('float', 4, size), targets } }
  if (quant_algo === 'W4A16_NVFP4') return { group_0: { ...weights('float', 4, size), targets } }
  return undefined
}

/** One group per distinct payload in order of first appearance, targets sorted. */
function mixedGroups(layers: readonly (readonly [string, PlainJson])[]): PlainObject {
  const groups = new Map<string, { readonly payload: PlainJson; readonly targets: string[] }>()
  for (const [module, payload] of layers) {
    const key = JSON.stringify(payload)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, { payload, targets: [module] })
    else group.targets.push(module)
  }
  return Object.fromEntries(
    [...groups.values()].map(({ payload, targets }, index) => [
      `group_${String(index)}`,
      { ...(isPlainObject(payload) ? mixedGroupBody(payload) : {}), targets: [...targets].sort() },
    ]),
  )
}

function mixedGroupBody({ quant_algo, group_size }: PlainObject): PlainObject {
  const size = group_size === undefined ? {} : { group_size }
  const channel = { strategy: 'channel' }
  switch (quant_algo) {
    case 'FP8':
      return { ...activations(8), ...weights('float', 8) }
    case 'FP8_PER_CHANNEL_PER_TOKEN':
      return { ...activations(8), ...weights('float', 8, channel) }
    case 'NVFP4':
      return { ...activations(4, size), ...weights('float', 4, size) }
    case 'W4A16_NVFP4':
      return weights('float', 4, size)
    case 'W4A16_AWQ':
      return weights('int', 4, size)
    case 'W8A16':
      return weights('int', 8)
    case 'W8A8_SQ_PER_CHANNEL':
      return { ...activations(8, {}, 'int'), ...weights('int', 8, channel) }
    case 'W4A8_NVFP4_FP8':
    case 'W4A8_MXFP4_FP8':
      return { ...activations(8), ...weights('float', 4, size) }
    case 'MXFP8':
      return { ...activations(8, size), ...weights('float', 8, size) }
    default:
      return { quant_algo: quant_algo ?? null }
  }
}

function activations(num_bits: number, extra: PlainObject = {}, type = 'float'): PlainObject {
  return { input_activations: { dynamic: false, num_bits, type, ...extra } }
}

function weights(type: 'float' | 'int', num_bits: number, extra: PlainObject = {}): PlainObject {
  return { weights: { dynamic: false, num_bits, type, ...extra } }
}

function isPlainObject(value: PlainJson | undefined): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Plain numbers as the lossless ones that texts are written from. */
export function toLossless(value: PlainJson): JsonValue {
  if (typeof value === 'number') return new LosslessNumber(String(value))
  if (value === null || typeof value !== 'object') return value
  if (isList(value)) return value.map(toLossless)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toLossless(item)]))
}

function isList(value: PlainJson): value is readonly PlainJson[] {
  return Array.isArray(value)
}
