/**
 * The built-in recipes as data: a selection of modules and formats under a base name, combined with a KV cache format. Names and
 * meaning are ModelOpt's presets (file stems) and PTQ recipes (file names); order of entries follows ModelOpt's rules.
 */
import type { DialectChoice, KvCacheChoice } from '../../../shared/domain/run-options.ts'
import { DEFAULT_ALPHA_STEP, type SmoothingMethod } from '../smoothing/smoothing.ts'
import { NUMERICS, type NumericsName } from './numerics.ts'
import type { CalibrationMethod, RecipeEntry } from './recipe.ts'
import { both, off, set } from './units.ts'

export interface Selection {
  readonly rules: readonly RecipeEntry[]
  /** Entries after the default exclusions. */
  readonly lastRules?: readonly RecipeEntry[]
  /** False for the one selection that names everything it quantizes and excludes nothing. */
  readonly hasDefaultExclusions?: boolean
  readonly method: CalibrationMethod
  readonly hasScaleSweep?: boolean
  readonly smoothing?: SmoothingMethod
  /** Where the format is written by default, when engines do not load it from ModelOpt's dialect. */
  readonly dialect?: DialectChoice
  /** What is quantized, as a sentence without the KV cache part. */
  readonly purpose: string
}

const MLP = ['*mlp*', '*block_sparse_moe*', '*.experts.*']
const MIXER = ['*.mixer.up_proj.', '*.mixer.down_proj.']
const EXPERTS = ['*.experts.*', '*block_sparse_moe*']

function over(
  scopes: readonly string[],
  weight: NumericsName,
  input: NumericsName | undefined,
): readonly RecipeEntry[] {
  return scopes.flatMap((scope) => both(scope, weight, input))
}

function everywhere(
  weight: NumericsName,
  input: NumericsName | undefined,
  method: CalibrationMethod,
  purpose: string,
): Selection {
  return { rules: both('*', weight, input), method, purpose }
}

/** Constant input maximum 6 · 448, which makes a stored NVFP4 input scale exactly 1. */
const UNIT_INPUT = { ...NUMERICS.nvfp4, constantAmax: 2688 }

const QWEN_EXCLUSIONS = [
  off('*linear_attn.in_proj_a*'),
  off('*linear_attn.in_proj_b*'),
  off('*visual*'),
  off('*vision_tower*'),
  off('*mtp*'),
]

/** FP8 attention, 4-bit MLP weights and head, as NVIDIA's Qwen3.5 and Qwen3.6 recipes select them. */
function qwenWeightOnly(weight: NumericsName): Pick<Selection, 'rules' | 'lastRules'> {
  return {
    rules: [
      set('*mlp*gate_proj*weight_quantizer*', weight),
      set('*mlp*up_proj*weight_quantizer*', weight),
      set('*mlp*down_proj*weight_quantizer*', weight),
      ...both('*self_attn*', 'fp8', 'fp8'),
      ...both('*linear_attn.out_proj*', 'fp8', 'fp8'),
    ],
    lastRules: [
      ...QWEN_EXCLUSIONS,
      ...both('*linear_attn.in_proj_qkv*', 'fp8', 'fp8'),
      ...both('*linear_attn.in_proj_z*', 'fp8', 'fp8'),
      set('*lm_head*weight_quantizer', weight),
    ],
  }
}

const AWQ_LITE = { kind: 'awq_lite', alphaStep: DEFAULT_ALPHA_STEP } as const

const fp8 = everywhere('fp8', 'fp8', 'max', 'FP8 weights and inputs in every linear layer')
const nvfp4 = everywhere('nvfp4', 'nvfp4', 'max', 'NVFP4 weights and inputs in every linear layer')
const nvfp4WeightOnly = everywhere(
  'nvfp4',
  undefined,
  'max',
  'NVFP4 weights in every linear layer, inputs stay 16 bit',
)

/** Selections by base name; a recipe name is a base name, optionally followed by `-kv_<format>`. */
export const SELECTIONS = {
  fp8,
  fp8_default: fp8,
  fp8_per_channel_per_token: everywhere(
    'fp8_per_channel',
    'fp8_per_token',
    'max',
    'FP8 weights with a scale per output channel, inputs scaled per token at inference',
  ),
  fp8_2d_blockwise_weight_only: everywhere(
    'fp8_2d_blockwise',
    undefined,
    'max',
    'FP8 weights with a scale per 128 x 128 tile, inputs stay 16 bit',
  ),
  fp8_attention_only: {
    rules: both('*self_attn*', 'fp8', 'fp8'),
    hasDefaultExclusions: false,
    method: 'max',
    purpose: 'FP8 weights and inputs in the full-attention layers only',
  },
  int8: everywhere('int8_per_channel', 'int8', 'max', 'INT8 weights per output channel and INT8 inputs'),
  int8_smoothquant: {
    ...everywhere(
      'int8_per_channel',
      'int8',
      'max',
      'INT8 weights per output channel and INT8 inputs; input channels rescaled by SmoothQuant, alpha 0.5',
    ),
    // The paper's exponent: ModelOpt's default of 1 moves all of the difficulty to the weights, and lost more wherever it was measured.
    smoothing: { kind: 'smoothquant', alpha: 0.5 },
    dialect: 'compressed-tensors',
  },
  int8_weight_only: everywhere(
    'int8_per_channel',
    undefined,
    'max',
    'INT8 weights per output channel, inputs stay 16 bit',
  ),
  int4_blockwise_weight_only: {
    ...everywhere('int4_per_block', undefined, 'max', 'INT4 weights in blocks of 128, inputs stay 16 bit'),
    dialect: 'compressed-tensors',
  },
  int4_awq: {
    ...everywhere(
      'int4_per_block',
      undefined,
      'max',
      'INT4 weights in blocks of 128, inputs stay 16 bit; input channels rescaled by AWQ',
    ),
    smoothing: AWQ_LITE,
    dialect: 'compressed-tensors',
  },
  int4_blockwise_experts_only: {
    rules: over(EXPERTS, 'int4_per_block', undefined),
    method: 'max',
    dialect: 'compressed-tensors',
    purpose: 'INT4 weights in blocks of 128 in the routed experts only, inputs stay 16 bit',
  },
  w4a8_int4_fp8: {
    ...everywhere(
      'int4_per_block',
      'fp8_per_token',
      'max',
      'INT4 weights in blocks of 128, FP8 inputs scaled per token at inference (W4AFP8)',
    ),
    dialect: 'compressed-tensors',
  },
  w4a8_int4_fp8_experts_only: {
    rules: over(EXPERTS, 'int4_per_block', 'fp8_per_token'),
    method: 'max',
    dialect: 'compressed-tensors',
    purpose:
      'INT4 weights in blocks of 128 and FP8 inputs scaled per token in the routed experts only (W4AFP8)',
  },
  nvfp4,
  nvfp4_default: nvfp4,
  nvfp4_awq_lite: {
    ...everywhere(
      'nvfp4',
      'nvfp4',
      'max',
      'NVFP4 weights and inputs in every linear layer; input channels rescaled by AWQ',
    ),
    smoothing: AWQ_LITE,
  },
  nvfp4_w4a4_weight_mse_fp8_sweep: {
    ...everywhere(
      'nvfp4_static',
      'nvfp4',
      'mse',
      'NVFP4 in every linear layer, block scales of the weights searched for least squared error',
    ),
    hasScaleSweep: true,
  },
  nvfp4_four_over_six: everywhere(
    'nvfp4_four_over_six',
    'nvfp4',
    'mse',
    'NVFP4 in every linear layer, each weight block mapped to 4 or 6, whichever has less squared error',
  ),
  w4a16_nvfp4: nvfp4WeightOnly,
  nvfp4_weight_only: nvfp4WeightOnly,
  nvfp4_mlp_weight_only: {
    rules: over(['*mlp*', '*block_sparse_moe*'], 'nvfp4_bs32', undefined),
    method: 'max',
    purpose: 'NVFP4 weights in blocks of 32 in experts and shared experts, inputs stay 16 bit',
  },
  nvfp4_mlp_only: {
    rules: over([...MLP, ...MIXER], 'nvfp4', 'nvfp4'),
    method: 'max',
    purpose: 'NVFP4 weights and inputs in experts and shared experts',
  },
  'nvfp4_mlp_only-novit': {
    rules: over([...MLP, ...MIXER], 'nvfp4', 'nvfp4'),
    lastRules: [off('*visual*'), off('*vision_tower*')],
    method: 'max',
    purpose: 'NVFP4 weights and inputs in experts and shared experts, vision left alone',
  },
  nvfp4_mlp_only_mse: {
    rules: over([...MLP, ...MIXER], 'nvfp4_static', 'nvfp4'),
    method: 'mse',
    hasScaleSweep: true,
    purpose: 'NVFP4 in experts and shared experts, block scales searched for least squared error',
  },
  nvfp4_experts_only: {
    rules: over(EXPERTS, 'nvfp4', 'nvfp4'),
    method: 'max',
    purpose: 'NVFP4 weights and inputs in the routed experts only',
  },
  nvfp4_experts_only_mse: {
    rules: over(EXPERTS, 'nvfp4_static', 'nvfp4'),
    method: 'mse',
    hasScaleSweep: true,
    purpose: 'NVFP4 in the routed experts only, block scales searched for least squared error',
  },
  nvfp4_experts_only_input_scale1: {
    rules: EXPERTS.flatMap((scope) => both(scope, 'nvfp4', UNIT_INPUT)),
    method: 'max',
    purpose: 'NVFP4 in the routed experts only, input scale fixed to 1, so that no data is needed',
  },
  nvfp4_omlp_only: {
    rules: over(['*mlp*', ...MIXER, '*block_sparse_moe*', '*o_proj*'], 'nvfp4', 'nvfp4'),
    method: 'max',
    purpose: 'NVFP4 weights and inputs in experts, shared experts and attention output projections',
  },
  w4a8_nvfp4_fp8: everywhere('nvfp4_bs32', 'fp8', 'max', 'NVFP4 weights in blocks of 32 and FP8 inputs'),
  mxfp8: everywhere('mxfp8', 'mxfp8', 'none', 'MXFP8 weights and inputs in every linear layer'),
  mxfp4: everywhere('mxfp4', 'mxfp4', 'none', 'MXFP4 weights and inputs in every linear layer'),
  mxfp4_mlp_weight_only: {
    rules: over(['*mlp*', '*block_sparse_moe*'], 'mxfp4', undefined),
    method: 'none',
    purpose: 'MXFP4 weights in experts and shared experts, inputs stay 16 bit',
  },
  w4a8_mxfp4_fp8: everywhere('mxfp4', 'fp8', 'none', 'MXFP4 weights and FP8 inputs in every linear layer'),
  'qwen3_5_moe-w4a16_nvfp4-fp8_attn': {
    ...qwenWeightOnly('nvfp4'),
    method: 'max',
    purpose: 'NVFP4 weights in experts, shared experts and head, FP8 in attention',
  },
  'qwen3_5_moe-w4a16_nvfp4_mse-fp8_attn': {
    ...qwenWeightOnly('nvfp4_static'),
    method: 'mse',
    hasScaleSweep: true,
    purpose: 'NVFP4 weights with searched block scales in experts, shared experts and head, FP8 in attention',
  },
  'qwen3_5_moe-nvfp4_experts_mse-fp8_rest': {
    rules: [
      ...both('*', 'fp8', 'fp8'),
      set('*mlp.experts.*weight_quantizer', 'nvfp4_static'),
      set('*mlp.experts.*input_quantizer', 'nvfp4'),
    ],
    lastRules: QWEN_EXCLUSIONS,
    method: 'mse',
    hasScaleSweep: true,
    purpose: 'NVFP4 with searched block scales in the routed experts, FP8 in every other linear layer',
  },
} as const satisfies Record<string, Selection>

export type SelectionName = keyof typeof SELECTIONS

export function isSelectionName(name: string): name is SelectionName {
  return Object.hasOwn(SELECTIONS, name)
}

/** What `-kv_<suffix>` means; `fp16` is ModelOpt's word for an unquantized cache. */
export const KV_SUFFIXES: ReadonlyMap<string, KvCacheChoice> = new Map([
  ['none', 'none'],
  ['fp16', 'none'],
  ['fp8', 'fp8'],
  ['fp8_cast', 'fp8_cast'],
  ['nvfp4', 'nvfp4'],
  ['nvfp4_cast', 'nvfp4_cast'],
])

/** Names shown in lists, most useful first; every other combination of base name and KV format is valid too. */
export const LISTED_RECIPES: readonly string[] = [
  'nvfp4_experts_only-kv_fp8',
  'nvfp4_experts_only-kv_fp8_cast',
  'nvfp4_experts_only_input_scale1-kv_fp8_cast',
  'nvfp4_experts_only_mse-kv_fp8_cast',
  'nvfp4_default-kv_fp8',
  'nvfp4_default-kv_fp8_cast',
  'nvfp4_default-kv_nvfp4_cast',
  'fp8_default-kv_fp8',
  'fp8_default-kv_fp8_cast',
  'qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast',
  'qwen3_5_moe-w4a16_nvfp4_mse-fp8_attn-kv_fp8_cast',
  'qwen3_5_moe-nvfp4_experts_mse-fp8_rest-kv_fp8',
  'nvfp4_mlp_only-kv_fp8',
  'nvfp4_mlp_only-kv_fp8_cast',
  'nvfp4_mlp_only-novit-kv_fp8',
  'nvfp4_mlp_only_mse-kv_fp8_cast',
  'nvfp4_omlp_only-kv_fp8',
  'nvfp4_omlp_only-kv_fp8_cast',
  'nvfp4_weight_only-kv_fp16',
  'nvfp4_weight_only-kv_fp8_cast',
  'w4a16_nvfp4-kv_fp8_cast',
  'nvfp4_mlp_weight_only',
  'mxfp4_mlp_weight_only',
  'mxfp8-kv_fp8_cast',
  'fp8_attention_only',
  'fp8',
  'fp8_per_channel_per_token',
  'fp8_2d_blockwise_weight_only',
  'int8',
  'int8_smoothquant',
  'int8_weight_only',
  'int4_blockwise_weight_only',
  'int4_blockwise_experts_only',
  'w4a8_int4_fp8',
  'w4a8_int4_fp8_experts_only',
  'int4_awq',
  'nvfp4',
  'nvfp4_experts_only',
  'nvfp4_mlp_only',
  'nvfp4_omlp_only',
  'nvfp4_w4a4_weight_mse_fp8_sweep',
  'nvfp4_four_over_six',
  'nvfp4_awq_lite',
  'w4a16_nvfp4',
  'w4a8_nvfp4_fp8',
  'mxfp8',
  'mxfp4',
  'w4a8_mxfp4_fp8',
]

/** ModelOpt names that are known but not written, with the reason: the user learns more than "unknown". */
export const UNSUPPORTED_RECIPES: ReadonlyMap<string, string> = new Map([
  [
    'w4a8_awq_beta',
    'INT4 weights on an FP8 grid with FP8 inputs are in a form that Quantmill does not write',
  ],
  [
    'nvfp4_awq_clip',
    'it clips weights by a search that Quantmill does not have; nvfp4_awq_lite is available',
  ],
  [
    'nvfp4_awq_full',
    'it clips weights by a search that Quantmill does not have; nvfp4_awq_lite is available',
  ],
  ['nvfp4_svdquant', 'SVDQuant stores low-rank factors that Quantmill does not write'],
  ['nvfp4_w4a4_weight_local_hessian', 'the local Hessian search is not available'],
  ['nvfp4_default-kv_none-gptq', 'GPTQ is not available'],
  ['nvfp4_act_headroom', 'calibration with activation headroom is not available'],
  ['nvfp4_fp8_mha', 'it quantizes modules that a Qwen3.5-MoE export must keep in 16 bit'],
  ['mxfp6', 'no serving engine format for MXFP6 exists, and ModelOpt cannot export it either'],
  ['mxint8', 'no serving engine format for MXINT8 exists, and ModelOpt cannot export it either'],
])
