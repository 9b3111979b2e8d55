/**
 * Numbers of a qwen3_5_moe text configuration, each checked against bounds. Missing numbers are errors: the defaults of the model class
 * describe another model. Source: configuration files of the released models; see docs/architecture.md.
 */
import { AppError } from '../../../../shared/errors/app-error.ts'
import {
  asNumber,
  asObject,
  stringifyLikePython,
  type JsonObject,
  type JsonValue,
} from '../../formats/hf-config/lossless-json.ts'
import type { MixerKind, QwenTextConfig } from './text-config.ts'

/** CWE-1284: far above the largest released model (92 layers, 512 experts, hidden size 8192). */
const MAX_LAYERS = 1024
const MAX_EXPERTS = 8192
const MAX_WIDTH = 1 << 20
const MAX_VOCAB = 1 << 24
const MAX_ROUTED_PER_TOKEN = 256

/** Throws CONFIG_INVALID naming the key, ARCHITECTURE_UNSUPPORTED for variants whose arithmetic we do not have. */
export function readTextConfig(text: JsonObject, tieWordEmbeddings: boolean): QwenTextConfig {
  const count = (key: string, maximum: number): number => wholeNumber(text[key], key, maximum)
  const layerCount = count('num_hidden_layers', MAX_LAYERS)
  const headDim = count('head_dim', MAX_WIDTH)
  const rope = readRope(text)
  const rotaryDim = headDim * rope.partialRotaryFactor
  if (!Number.isInteger(rotaryDim / 2) || rotaryDim > headDim) {
    throw invalid(
      'partial_rotary_factor',
      `${String(rope.partialRotaryFactor)} of head_dim ${String(headDim)} is not an even number of channels`,
    )
  }
  const expertCount = count('num_experts', MAX_EXPERTS)
  const topK = count('num_experts_per_tok', MAX_ROUTED_PER_TOKEN)
  if (topK > expertCount)
    throw invalid('num_experts_per_tok', `${String(topK)} is more than num_experts ${String(expertCount)}`)
  const config: QwenTextConfig = {
    hiddenSize: count('hidden_size', MAX_WIDTH),
    layerCount,
    layerKinds: readLayerKinds(text, layerCount),
    vocabSize: count('vocab_size', MAX_VOCAB),
    headCount: count('num_attention_heads', MAX_EXPERTS),
    kvHeadCount: count('num_key_value_heads', MAX_EXPERTS),
    headDim,
    linearKeyHeadCount: count('linear_num_key_heads', MAX_EXPERTS),
    linearValueHeadCount: count('linear_num_value_heads', MAX_EXPERTS),
    linearKeyHeadDim: count('linear_key_head_dim', MAX_WIDTH),
    linearValueHeadDim: count('linear_value_head_dim', MAX_WIDTH),
    convKernelSize: count('linear_conv_kernel_dim', 64),
    expertCount,
    topK,
    expertWidth: count('moe_intermediate_size', MAX_WIDTH),
    sharedExpertWidth: count('shared_expert_intermediate_size', MAX_WIDTH),
    rmsNormEps: positive(text['rms_norm_eps'], 'rms_norm_eps'),
    ropeTheta: rope.theta,
    rotaryDim,
    maxPositions: count('max_position_embeddings', Number.MAX_SAFE_INTEGER),
    tieWordEmbeddings,
  }
  checkVariant(text, config)
  return config
}

function checkVariant(text: JsonObject, config: QwenTextConfig): void {
  if (config.headCount % config.kvHeadCount !== 0) {
    throw invalid(
      'num_attention_heads',
      `${String(config.headCount)} is not a multiple of num_key_value_heads`,
    )
  }
  if (config.linearValueHeadCount % config.linearKeyHeadCount !== 0) {
    throw invalid(
      'linear_num_value_heads',
      `${String(config.linearValueHeadCount)} is not a multiple of linear_num_key_heads`,
    )
  }
  const unsupported: readonly [string, readonly JsonValue[]][] = [
    ['hidden_act', ['silu', 'swish']],
    ['attention_bias', [false]],
    ['attn_output_gate', [true]],
    ['output_gate_type', ['swish', 'silu']],
    ['norm_topk_prob', [true]],
  ]
  for (const [key, allowed] of unsupported) {
    const value = text[key]
    if (value === undefined || value === null || allowed.includes(value)) continue
    throw new AppError('ARCHITECTURE_UNSUPPORTED', {
      subject: `config.json: ${key}`,
      problem: `${describe(value)} is a variant whose arithmetic is not implemented (known: ${JSON.stringify(allowed)})`,
      remedy: 'use a released Qwen3.5-MoE checkpoint',
    })
  }
  const dense = text['mlp_only_layers']
  const sparseStep = asNumber(text['decoder_sparse_step']) ?? 1
  if ((Array.isArray(dense) && dense.length > 0) || sparseStep !== 1) {
    throw new AppError('ARCHITECTURE_UNSUPPORTED', {
      subject: `config.json: ${sparseStep === 1 ? 'mlp_only_layers' : 'decoder_sparse_step'}`,
      problem: 'some layers have no experts, which no released model of this family has',
      remedy: 'use a released Qwen3.5-MoE checkpoint',
    })
  }
}

function readLayerKinds(text: JsonObject, layerCount: number): readonly MixerKind[] {
  const listed = text['layer_types']
  if (listed === undefined || listed === null) {
    const interval = wholeNumber(text['full_attention_interval'], 'full_attention_interval', MAX_LAYERS)
    return Array.from({ length: layerCount }, (_, layer) =>
      (layer + 1) % interval === 0 ? 'full_attention' : 'linear_attention',
    )
  }
  if (!Array.isArray(listed) || listed.length !== layerCount) {
    throw invalid('layer_types', `it must list ${String(layerCount)} layers`)
  }
  return listed.map((kind) => {
    if (kind === 'full_attention' || kind === 'linear_attention') return kind
    throw invalid('layer_types', `${describe(kind)} is neither full_attention nor linear_attention`)
  })
}

/** `rope_parameters` of current files, or the flat keys of older ones. */
function readRope(text: JsonObject): { readonly theta: number; readonly partialRotaryFactor: number } {
  const nested = asObject(text['rope_parameters']) ?? asObject(text['rope_scaling']) ?? {}
  const type = nested['rope_type'] ?? nested['type'] ?? 'default'
  if (type !== 'default' && type !== 'mrope') {
    throw new AppError('ARCHITECTURE_UNSUPPORTED', {
      subject: 'config.json: rope_type',
      problem: `${describe(type)} position scaling is not implemented`,
      remedy: 'use the checkpoint with its original rope parameters',
    })
  }
  return {
    theta: positive(nested['rope_theta'] ?? text['rope_theta'], 'rope_theta'),
    partialRotaryFactor: positive(
      nested['partial_rotary_factor'] ?? text['partial_rotary_factor'],
      'partial_rotary_factor',
    ),
  }
}

function wholeNumber(value: JsonValue | undefined, key: string, maximum: number): number {
  const number = asNumber(value)
  if (number === undefined || !Number.isSafeInteger(number) || number < 1 || number > maximum) {
    throw invalid(key, `expected a whole number from 1 to ${String(maximum)}, found ${describe(value)}`)
  }
  return number
}

function positive(value: JsonValue | undefined, key: string): number {
  const number = asNumber(value)
  if (number === undefined || !Number.isFinite(number) || number <= 0) {
    throw invalid(key, `expected a positive number, found ${describe(value)}`)
  }
  return number
}

function describe(value: JsonValue | undefined): string {
  return value === undefined ? 'nothing' : stringifyLikePython(value, 0).replace(/\s+/g, ' ').slice(0, 60)
}

function invalid(key: string, problem: string): AppError {
  return new AppError('CONFIG_INVALID', {
    subject: `config.json: ${key}`,
    problem,
    remedy: 'get an undamaged copy of config.json',
  })
}
