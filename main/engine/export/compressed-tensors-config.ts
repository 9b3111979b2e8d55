/**
 * `quantization_config` of the compressed-tensors dialect: config groups, targets, ignore list, KV cache scheme. Only config.json carries it.
 * Source: QuantizationConfig and scheme presets of compressed-tensors; target and ignore matching of vLLM (regular expressions are not
 * renamed with the engine's module names, exact names are).
 */
import type { MoeModel } from '../models/moe-model.ts'
import type { KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { blockSizeOf, TILE_SIZE } from '../quant/layout.ts'
import { moduleTargets } from './module-targets.ts'
import type { PlainObject } from './quant-algo.ts'
import type { QuantizationDescription } from './quantization-config.ts'

/** Format description that is followed; readers ignore it. */
const COMPRESSED_TENSORS_VERSION = '0.15.0'

export const PATTERN_PREFIX = 're:'

/** The configuration; undefined when neither weights nor KV cache are quantized. */
export function compressedTensorsConfig({
  model,
  formats,
  kvCache,
}: Pick<QuantizationDescription, 'model' | 'formats' | 'kvCache'>): PlainObject | undefined {
  const groups = groupModules(model, formats)
  const scheme = kvScheme(kvCache)
  if (groups.length === 0 && scheme === null) return undefined
  const formatNames = new Set(groups.map(({ body }) => body.format))
  const [format = 'dense'] = formatNames
  return {
    config_groups: Object.fromEntries(
      groups.map(({ modules, body }, index) => [
        `group_${String(index)}`,
        { ...body, targets: groups.length === 1 ? ['Linear'] : moduleTargets(model, modules) },
      ]),
    ),
    format: formatNames.size > 1 ? 'mixed-precision' : format,
    global_compression_ratio: null,
    ignore: ignoreList(model, formats),
    kv_cache_scheme: scheme,
    quant_method: 'compressed-tensors',
    quantization_status: 'compressed',
    version: COMPRESSED_TENSORS_VERSION,
  }
}

interface GroupBody extends PlainObject {
  readonly format: string
}

interface Group {
  readonly modules: Set<string>
  readonly body: GroupBody
}

/** Modules with equal bodies in one group, in order of first appearance. */
function groupModules(model: MoeModel, formats: ReadonlyMap<string, ModuleFormat>): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const { name } of model.modules) {
    const format = formats.get(name)
    if (format === undefined) continue
    const body = groupBody(format)
    const key = JSON.stringify(body)
    const group = groups.get(key) ?? { modules: new Set(), body }
    group.modules.add(name)
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** True when more than one config group is needed. */
export function hasSeveralGroups(formats: Iterable<ModuleFormat>): boolean {
  return new Set([...formats].map((format) => JSON.stringify(groupBody(format)))).size > 1
}

/** A config group but for its targets. */
export function groupBody(format: ModuleFormat): GroupBody {
  const dynamic = format.hasDynamicInput === true
  switch (format.format) {
    case 'fp8':
      return body('float-quantized', float8('tensor'), format.inputScale && staticInput(float8('tensor')))
    case 'fp8_pc_pt':
      return body('float-quantized', float8('channel'), dynamic ? dynamicInput(float8('token')) : undefined)
    case 'fp8_pb_wo': {
      const weights = { ...float8('block'), block_structure: [TILE_SIZE, TILE_SIZE] }
      const inputs = dynamicInput({ ...float8('group'), group_size: TILE_SIZE })
      return body('float-quantized', weights, inputs)
    }
    case 'int8_sq':
      return body('int-quantized', int(8, 'channel'), dynamicInput(int(8, 'token')))
    case 'int8_wo':
      return body('pack-quantized', int(8, 'channel'), undefined)
    case 'int4_awq':
      return body('pack-quantized', { ...int(4, 'group'), group_size: blockSizeOf(format) }, undefined)
    case 'w4a8_int4_fp8': {
      const weights = { ...int(4, 'group'), group_size: blockSizeOf(format) }
      return body('pack-quantized', weights, dynamicInput(float8('token')))
    }
    case 'nvfp4':
    case 'nvfp4_static':
    case 'w4a8_nvfp4_fp8': {
      const inputs = { ...nvfp4Arguments(format), dynamic: 'local', observer: 'static_minmax' }
      return body('nvfp4-pack-quantized', nvfp4Arguments(format), inputs)
    }
    case 'w4a16_nvfp4':
    case 'w4a16_nvfp4_static':
      return body('nvfp4-pack-quantized', nvfp4Arguments(format), undefined)
    case 'mxfp8': {
      const values = mx(8, blockSizeOf(format))
      return body('mxfp8-quantized', values, dynamic ? dynamicInput(values) : undefined)
    }
    case 'mxfp4':
    case 'w4a8_mxfp4_fp8': {
      const values = mx(4, blockSizeOf(format))
      return body('mxfp4-pack-quantized', values, dynamic ? dynamicInput(values) : undefined)
    }
  }
}

/** Exact names of every linear, convolution and router that stays as it is; patterns for experts, head, vision tower and MTP block. */
function ignoreList(model: MoeModel, formats: ReadonlyMap<string, ModuleFormat>): readonly string[] {
  const left = model.modules.filter(({ name, kind }) => !formats.has(name) && kind !== 'embedding')
  const experts = new Set(left.flatMap(({ name, kind }) => (kind === 'experts' ? [name] : [])))
  const names = left.flatMap(({ name, kind }) => (kind === 'experts' ? [] : [name]))
  const isHeadLeft = names.some((name) => name.endsWith('lm_head'))
  return [
    ...names,
    ...(experts.size === 0 ? [] : moduleTargets(model, experts)),
    ...(isHeadLeft ? [`${PATTERN_PREFIX}.*lm_head$`] : []),
    ...(model.hasVision ? [`${PATTERN_PREFIX}.*visual.*`] : []),
    ...(model.mtpPrefixes.length > 0 ? [`${PATTERN_PREFIX}.*mtp.*`] : []),
  ]
}

function kvScheme(kv: KvCacheFormat): PlainObject | null {
  return kv === 'none' ? null : { ...float8('tensor'), observer: 'static_minmax' }
}

function body(format: string, weights: PlainObject, inputs: PlainObject | undefined): GroupBody {
  return { format, input_activations: inputs ?? null, output_activations: null, weights }
}

/** Every argument a reader of any version knows, with its default. */
function quantizationArguments(type: 'float' | 'int', num_bits: number, strategy: string): PlainObject {
  return {
    actorder: null,
    block_structure: null,
    dynamic: false,
    group_size: null,
    num_bits,
    observer: 'memoryless_minmax',
    observer_kwargs: {},
    strategy,
    symmetric: true,
    type,
  }
}

function float8(strategy: string): PlainObject {
  return quantizationArguments('float', 8, strategy)
}

function int(bits: number, strategy: string): PlainObject {
  return quantizationArguments('int', bits, strategy)
}

function nvfp4Arguments(format: ModuleFormat): PlainObject {
  const group_size = blockSizeOf(format)
  return {
    ...quantizationArguments('float', 4, 'tensor_group'),
    group_size,
    scale_dtype: 'torch.float8_e4m3fn',
  }
}

function mx(bits: number, group_size: number): PlainObject {
  return { ...quantizationArguments('float', bits, 'group'), group_size, scale_dtype: 'torch.uint8' }
}

function staticInput(values: PlainObject): PlainObject {
  return { ...values, observer: 'static_minmax' }
}

function dynamicInput(values: PlainObject): PlainObject {
  return { ...values, dynamic: true, observer: null }
}
