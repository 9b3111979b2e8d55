/**
 * Applies a recipe to the modules of a model: which module gets which format, which KV cache format, which expert input scale.
 * Entries act in order on quantizer names, the last that matches decides. Groups that an engine fuses must agree.
 * Source: ModelOpt's set_quantizer_by_cfg and the quantizer names of its wrappers.
 */
import type { ExpertInputScaleChoice, KvCacheChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { MoeModel, QuantizableModule } from '../models/moe-model.ts'
import type { ExportProfile, KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import { kvFormat, moduleFormat, type QuantizerState } from './module-format.ts'
import { QuantizerResolver } from './quantizer-resolver.ts'
import type { Recipe } from './recipe.ts'

export interface ResolvedFormats {
  /** By module name; modules that stay unquantized are absent. In the order of the model's modules. */
  readonly formats: ReadonlyMap<string, ModuleFormat>
  readonly kvCache: KvCacheFormat
  readonly expertInputScale: ExpertInputScaleChoice
}

export interface FormatOverrides {
  readonly kv?: KvCacheChoice | undefined
  readonly expertInputScale?: ExpertInputScaleChoice | undefined
  /** `identical` makes `shared` the default; otherwise the recipe's wish, then `per_expert`. */
  readonly profile?: ExportProfile | undefined
}

/** What a recipe can be applied to; a MoeModel in the product, something smaller for summaries. */
export interface RecipeTarget {
  readonly modules: readonly QuantizableModule[]
  readonly fusionGroups: readonly (readonly string[])[]
  /** Modules with keys and values, `….self_attn`. */
  readonly attentionModules: readonly string[]
  readonly expertCount: number
}

/**
 * Formats of every module of the model. Throws RECIPE_PATTERN_UNMATCHED for a user's pattern that matches no quantizer and for a recipe or
 * KV cache format that finds nothing to quantize in this model,
 * RECIPE_GROUP_MIXED for a fusion group, an expert or KV layers that disagree, RECIPE_INVALID for a quantizer enabled without a cfg,
 * FORMAT_UNSUPPORTED for what cannot be written. Cost: modules x entries, plus experts only for patterns that can tell them apart.
 */
export function resolveFormats(
  recipe: Recipe,
  model: MoeModel,
  overrides: FormatOverrides = {},
): ResolvedFormats {
  const target = modelTarget(model)
  const resolved = resolveTarget(recipe, target)
  const kvCache = overrides.kv ?? resolved.kvCache
  if (kvCache !== 'none' && target.attentionModules.length === 0) throw matchesNothing(`--kv ${kvCache}`)
  const wantsSomething = recipe.entries.some(({ isEnabled }) => isEnabled)
  if (wantsSomething && kvCache === 'none' && resolved.formats.size === 0) throw matchesNothing(recipe.name)
  const profileDefault =
    overrides.profile === 'identical' ? 'shared' : (recipe.expertInputScale ?? 'per_expert')
  return {
    formats: resolved.formats,
    kvCache,
    expertInputScale: overrides.expertInputScale ?? profileDefault,
  }
}

export function modelTarget(model: MoeModel): RecipeTarget {
  return {
    modules: model.modules,
    fusionGroups: model.fusionGroups,
    attentionModules: model.exportOrder.flatMap((item) => (item.kind === 'kv_cache' ? [item.module] : [])),
    expertCount: model.text.expertCount,
  }
}

export function resolveTarget(
  recipe: Recipe,
  target: RecipeTarget,
): Omit<ResolvedFormats, 'expertInputScale'> {
  const resolver = new QuantizerResolver(recipe)
  const formats = new Map<string, ModuleFormat>()
  for (const module of target.modules) {
    const format = formatOf(recipe, resolver, module, target.expertCount)
    if (format !== undefined) formats.set(module.name, format)
  }
  const kvCache = resolveKv(resolver, target.attentionModules)
  resolver.assertEveryPatternMatched()
  for (const group of target.fusionGroups) assertGroupAgrees(group, formats)
  return { formats, kvCache }
}

function formatOf(
  recipe: Recipe,
  resolver: QuantizerResolver,
  { name, kind }: QuantizableModule,
  expertCount: number,
): ModuleFormat | undefined {
  if (kind === 'router') return undefined
  if (kind === 'experts') return expertsFormat(recipe, resolver, name, expertCount)
  const weight = resolver.resolve(`${name}.weight_quantizer`, kind)
  const input = resolver.resolve(`${name}.input_quantizer`, kind)
  if (resolver.resolveIncidental(`${name}.output_quantizer`, kind) !== undefined) {
    throw unsupported(name, 'quantized outputs are not written', 'disable its output_quantizer')
  }
  const format = moduleFormat(name, weight, input, recipe)
  if (format === undefined || kind === 'linear') return format
  throw unsupported(
    name,
    `this module is a ${kind === 'conv' ? 'convolution' : kind}, only linear layers are quantized`,
  )
}

function expertsFormat(
  recipe: Recipe,
  resolver: QuantizerResolver,
  module: string,
  expertCount: number,
): ModuleFormat | undefined {
  const [gateUp, down] = ['gate_up_proj', 'down_proj'].map((projection) => {
    const weight = resolver.resolveExperts(`${module}.${projection}_weight_quantizers`, expertCount)
    const input = resolver.resolve(`${module}.${projection}_input_quantizer`, 'experts')
    return moduleFormat(module, weight, input, recipe)
  })
  if (JSON.stringify(gateUp) === JSON.stringify(down)) return gateUp
  throw mixed(module, `gate and up would be ${formatName(gateUp)}, down ${formatName(down)}`)
}

function resolveKv(resolver: QuantizerResolver, attentionModules: readonly string[]): KvCacheFormat {
  let first: { readonly module: string; readonly kv: KvCacheFormat } | undefined
  for (const module of attentionModules) {
    const [key, value] = ['k', 'v'].map((name): QuantizerState =>
      resolver.resolve(`${module}.${name}_bmm_quantizer`, 'attention'),
    )
    // Queries and probabilities are never stored; naming them is harmless.
    for (const name of ['q', 'p']) resolver.resolveIncidental(`${module}.${name}_bmm_quantizer`, 'attention')
    const kv = kvFormat(module, key, value)
    first ??= { module, kv }
    if (kv !== first.kv)
      throw mixed(module, `its KV cache would be ${kv}, that of ${first.module} ${first.kv}`)
  }
  return first?.kv ?? 'none'
}

function assertGroupAgrees(group: readonly string[], formats: ReadonlyMap<string, ModuleFormat>): void {
  const [first, ...others] = group
  if (first === undefined) return
  const expected = formats.get(first)
  for (const module of others) {
    const format = formats.get(module)
    if (JSON.stringify(format) === JSON.stringify(expected)) continue
    throw mixed(
      module,
      `it would be ${formatName(format)} but ${first}, which serving engines fuse with it, ${formatName(expected)}`,
    )
  }
}

function formatName(format: ModuleFormat | undefined): string {
  if (format === undefined) return 'unquantized'
  const block = format.blockSize === undefined ? '' : ` (blocks of ${String(format.blockSize)})`
  const search = format.search === undefined ? '' : `, searched by ${format.search}`
  const input = format.inputScale === undefined ? '' : `, ${format.inputScale.kind} input scale`
  return `${format.format}${block}${search}${input}`
}

function matchesNothing(subject: string): AppError {
  return new AppError('RECIPE_PATTERN_UNMATCHED', {
    subject,
    problem: 'this checkpoint has nothing that it quantizes',
    remedy: 'choose a recipe that names modules of this checkpoint; inspect lists them',
  })
}

function mixed(subject: string, problem: string): AppError {
  return new AppError('RECIPE_GROUP_MIXED', {
    subject,
    problem,
    remedy: 'give all modules of the group the same format',
  })
}

function unsupported(
  subject: string,
  problem: string,
  remedy = 'disable its quantizers in the recipe',
): AppError {
  return new AppError('FORMAT_UNSUPPORTED', { subject, problem, remedy })
}
