/**
 * Reusable lists of entries that recipes are made of and that a user's recipe can `$import`. Names and meaning are ModelOpt's units.
 */
import type { KvCacheChoice } from '../../../shared/domain/run-options.ts'
import { NUMERICS, type NumericsName } from './numerics.ts'
import type { QuantizerAttributes, RecipeEntry } from './recipe.ts'

function entry(pattern: string, rest: Partial<RecipeEntry>): RecipeEntry {
  return { pattern, parentClass: undefined, cfg: undefined, isEnabled: true, place: undefined, ...rest }
}

/** Entry that gives every quantizer of the pattern these attributes. */
export function set(pattern: string, cfg: NumericsName | QuantizerAttributes): RecipeEntry {
  return entry(pattern, { cfg: typeof cfg === 'string' ? NUMERICS[cfg] : cfg })
}

/** Entry that switches every quantizer of the pattern off. */
export function off(pattern: string, parentClass?: string): RecipeEntry {
  return entry(pattern, { isEnabled: false, parentClass })
}

/** Weights and inputs of the modules of `scope` (a pattern prefix such as `*mlp*`); without inputs when `input` is undefined. */
export function both(
  scope: string,
  weight: NumericsName,
  input: NumericsName | QuantizerAttributes | undefined,
): readonly RecipeEntry[] {
  const weights = set(`${scope}weight_quantizer`, weight)
  return input === undefined ? [weights] : [weights, set(`${scope}input_quantizer`, input)]
}

const DISABLED_NAMES = [
  '*block_sparse_moe.gate*',
  '*linear_attn.conv1d*',
  '*linear_attn.in_proj_a*',
  '*linear_attn.in_proj_b*',
  '*lm_head*',
  '*mixer.conv1d*',
  '*mlp.gate.*',
  '*mlp.shared_expert_gate.*',
  '*output_layer*',
  '*proj_out.*',
  '*router*',
  'mtp.*',
  'output.*',
  '*embed_vision*',
  '*vision_tower*',
  '*visual*',
  '*vision_model*',
  '*multi_modal_projector*',
]
const DISABLED_CLASSES = [
  'nn.BatchNorm1d',
  'nn.BatchNorm2d',
  'nn.BatchNorm3d',
  'nn.LeakyReLU',
  'nn.Embedding',
]

export const BASE_DISABLE_ALL: readonly RecipeEntry[] = [off('*')]

export const DEFAULT_DISABLED: readonly RecipeEntry[] = [
  ...DISABLED_NAMES.map((name) => off(name)),
  ...DISABLED_CLASSES.map((parentClass) => off('*', parentClass)),
]

const KV_PATTERN = '*[kv]_bmm_quantizer'

/** Entries of a KV cache format; empty for `none`. */
export function kvCacheEntries(kv: KvCacheChoice): readonly RecipeEntry[] {
  switch (kv) {
    case 'none':
      return []
    case 'fp8':
      return [set(KV_PATTERN, 'fp8')]
    case 'fp8_cast':
      return [set(KV_PATTERN, { ...NUMERICS.fp8, usesConstantAmax: true })]
    case 'nvfp4':
      return [set(KV_PATTERN, 'nvfp4')]
    case 'nvfp4_cast':
      return [set(KV_PATTERN, { ...NUMERICS.nvfp4, usesConstantAmax: true })]
  }
}

/** Units by the name a recipe imports them with. */
export const UNITS: ReadonlyMap<string, readonly RecipeEntry[]> = new Map([
  ['base_disable_all', BASE_DISABLE_ALL],
  ['default_disabled_quantizers', DEFAULT_DISABLED],
  ['kv_fp8', kvCacheEntries('fp8')],
  ['kv_fp8_cast', kvCacheEntries('fp8_cast')],
  ['kv_nvfp4', kvCacheEntries('nvfp4')],
  ['kv_nvfp4_cast', kvCacheEntries('nvfp4_cast')],
  ['w8a8_fp8_fp8', both('*', 'fp8', 'fp8')],
  ['w4a4_nvfp4_nvfp4', both('*', 'nvfp4', 'nvfp4')],
  ['w4_nvfp4', both('*', 'nvfp4', undefined)],
  ['experts_nvfp4', both('*.experts.*', 'nvfp4', 'nvfp4')],
  ['block_sparse_moe_nvfp4', both('*block_sparse_moe*', 'nvfp4', 'nvfp4')],
  [
    'mixer_mlp_nvfp4',
    [...both('*.mixer.up_proj.', 'nvfp4', 'nvfp4'), ...both('*.mixer.down_proj.', 'nvfp4', 'nvfp4')],
  ],
])

/** Names of modules that other model families have: a pattern about them may match nothing without being a mistake. */
export const FOREIGN_MODULES: readonly string[] = [
  'block_sparse_moe',
  'mixer',
  'router',
  'mtp',
  'visual',
  'vision_tower',
  'vision_model',
  'embed_vision',
  'multi_modal_projector',
  'output_layer',
  'proj_out',
  'self_attention',
]
