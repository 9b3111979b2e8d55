/**
 * What an export declares: dialect, KV cache and, for each module, the format it is stored in. Reads ModelOpt's flat and nested description
 * and the config groups of compressed-tensors. Source: ModelOpt's config writer; QuantizationConfig of compressed-tensors.
 */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { asNumber, asObject, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { compressedTensorsScheme } from './compressed-tensors-scheme.ts'
import { modeloptFormat } from './modelopt-format.ts'
import { targetMatcher, type TargetMatcher } from './target-matcher.ts'

/** A format and the modules it is declared for. `inputScale` is not decided here: the stored tensors tell. */
export interface DeclaredScheme {
  readonly format: ModuleFormat
  readonly matcher: TargetMatcher
}

export interface DeclaredQuantization {
  readonly dialect: DialectChoice
  readonly kv: 'none' | 'fp8' | 'nvfp4'
  readonly schemes: readonly DeclaredScheme[]
}

/**
 * The declaration of an export. `legacy` = hf_quant_config.json, read when config.json has none. Throws FORMAT_UNSUPPORTED when there is no
 * quantization or an unknown one, DIALECT_UNSUPPORTED for schemes without a common form, CONFIG_INVALID for a malformed description.
 */
export function readDeclaration(config: JsonObject, legacy: JsonObject | undefined): DeclaredQuantization {
  const flat =
    asObject(config['quantization_config']) ??
    asObject(config['compression_config']) ??
    asObject(asObject(config['text_config'])?.['quantization_config'])
  const method = text(flat?.['quant_method']) ?? ''
  if (flat !== undefined && method === 'compressed-tensors') return readGroups(flat)
  if (flat !== undefined && method.startsWith('modelopt')) return readModelopt(flat, 'flat')
  if (flat !== undefined) throw notConvertible(`its quant_method is ${JSON.stringify(method)}`)
  const nested = asObject(legacy?.['quantization'])
  if (nested === undefined) throw notConvertible('it declares no quantization')
  return readModelopt(nested, 'nested')
}

/** The scheme of a module: by name first, then by class, as loaders do; undefined when no scheme targets it. */
export function schemeOf(declared: DeclaredQuantization, module: string): DeclaredScheme | undefined {
  return (
    declared.schemes.find(({ matcher }) => matcher.matchesName(module)) ??
    declared.schemes.find(({ matcher }) => matcher.matchesEveryLinear)
  )
}

function readModelopt(source: JsonObject, form: 'flat' | 'nested'): DeclaredQuantization {
  const algorithm = text(source['quant_algo'])
  const kv = form === 'flat' ? flatKv(source['kv_cache_scheme']) : nestedKv(source['kv_cache_quant_algo'])
  const layers = asObject(source['quantized_layers'])
  if (algorithm?.toUpperCase() === 'MIXED_PRECISION' || (algorithm === undefined && layers !== undefined)) {
    const schemes = Object.entries(layers ?? {}).map(([module, value]) => {
      const layer = asObject(value)
      const name = text(layer?.['quant_algo'])
      if (layer === undefined || name === undefined)
        throw invalid(`quantized_layers: ${module} has no quant_algo`)
      return {
        format: modeloptFormat(name, asNumber(layer['group_size']), layer),
        matcher: targetMatcher([module], 'prefix'),
      }
    })
    return { dialect: 'modelopt', kv, schemes }
  }
  if (algorithm === undefined) return { dialect: 'modelopt', kv, schemes: [] }
  const group = asObject(asObject(asObject(source['config_groups'])?.['group_0'])?.['weights'])
  const groupSize = asNumber(source['group_size']) ?? asNumber(group?.['group_size'])
  const format = modeloptFormat(algorithm, groupSize, source)
  return { dialect: 'modelopt', kv, schemes: [{ format, matcher: targetMatcher(['Linear'], 'target') }] }
}

function readGroups(source: JsonObject): DeclaredQuantization {
  const groups = asObject(source['config_groups'])
  if (groups === undefined) throw invalid('config_groups is missing')
  const whole = text(source['format'])
  const schemes = Object.entries(groups).map(([name, value]) => {
    const group = asObject(value)
    const targets = group?.['targets']
    if (group === undefined || !Array.isArray(targets)) throw invalid(`config_groups: ${name} has no targets`)
    const format = compressedTensorsScheme(name, group, text(group['format']) ?? whole)
    const names = targets.flatMap((target) => (typeof target === 'string' ? [target] : []))
    return { format, matcher: targetMatcher(names, 'target') }
  })
  return { dialect: 'compressed-tensors', kv: schemeKv(source['kv_cache_scheme']), schemes }
}

function flatKv(value: JsonValue | undefined): DeclaredQuantization['kv'] {
  return typeof value === 'string' ? nestedKv(value) : schemeKv(value)
}

function nestedKv(value: JsonValue | undefined): DeclaredQuantization['kv'] {
  const name = text(value)?.toUpperCase()
  if (name === undefined) return 'none'
  if (name === 'FP8') return 'fp8'
  if (name === 'NVFP4') return 'nvfp4'
  throw unsupportedKv(name)
}

function schemeKv(value: JsonValue | undefined): DeclaredQuantization['kv'] {
  const scheme = asObject(value)
  if (scheme === undefined) return 'none'
  const strategy = text(scheme['strategy']) ?? 'tensor'
  const isFp8 =
    asNumber(scheme['num_bits']) === 8 && text(scheme['type']) === 'float' && strategy === 'tensor'
  if (isFp8 && scheme['dynamic'] !== true) return 'fp8'
  throw unsupportedKv('this kv_cache_scheme')
}

function unsupportedKv(what: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject: 'KV cache',
    problem: `${what} has no counterpart in the other dialect`,
    remedy: 'convert exports with an FP8 KV cache of one scale, or without one',
  })
}

function notConvertible(problem: string): AppError {
  return new AppError('FORMAT_UNSUPPORTED', {
    subject: 'config.json',
    problem: `${problem}, so there is nothing to convert`,
    remedy: 'give an export in the modelopt or compressed-tensors dialect',
  })
}

function invalid(problem: string): AppError {
  return new AppError('CONFIG_INVALID', {
    subject: 'config.json',
    problem,
    remedy: 'get an undamaged copy of the export',
  })
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
