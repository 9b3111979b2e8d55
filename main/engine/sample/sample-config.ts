/** config.json of a synthetic checkpoint, with the keys and number spellings of the released files. */
import { LosslessNumber } from 'lossless-json'
import type { JsonObject, JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { SampleLayout } from './sample-options.ts'
import type { SampleNumbers } from './sample-shapes.ts'

const number = (value: number | string): LosslessNumber => new LosslessNumber(String(value))

/** Layer i is full attention when (i + 1) is a multiple of the interval. */
export function isFullAttention(layerIndex: number, { fullAttentionInterval = 4 }: SampleNumbers): boolean {
  return (layerIndex + 1) % fullAttentionInterval === 0
}

/** Nested multimodal form or flat text-only form. Key order is that of the released files. */
export function sampleConfig(layout: SampleLayout): JsonObject {
  const text = textConfig(layout)
  const isTied = !layout.hasHead
  if (layout.prefix === 'flat') {
    return { architectures: ['Qwen3_5MoeForCausalLM'], ...text, tie_word_embeddings: isTied }
  }
  return {
    architectures: ['Qwen3_5MoeForConditionalGeneration'],
    image_token_id: number(5),
    model_type: 'qwen3_5_moe',
    text_config: text,
    tie_word_embeddings: isTied,
    transformers_version: '4.57.0.dev0',
    video_token_id: number(6),
    ...(layout.hasVision ? { vision_config: visionConfig(layout.numbers) } : {}),
    vision_end_token_id: number(4),
    vision_start_token_id: number(3),
  }
}

function textConfig({ numbers, mtpLayout, hasHead }: SampleLayout): JsonObject {
  const layers = Array.from({ length: numbers.layerCount }, (_, layer): JsonValue => {
    return isFullAttention(layer, numbers) ? 'full_attention' : 'linear_attention'
  })
  return {
    attention_bias: false,
    attention_dropout: number('0.0'),
    attn_output_gate: true,
    dtype: 'bfloat16',
    eos_token_id: number(0),
    full_attention_interval: number(numbers.fullAttentionInterval ?? 4),
    head_dim: number(numbers.headDim),
    hidden_act: 'silu',
    hidden_size: number(numbers.hiddenSize),
    initializer_range: number('0.02'),
    layer_types: layers,
    linear_conv_kernel_dim: number(4),
    linear_key_head_dim: number(numbers.linearHeadDim),
    linear_num_key_heads: number(numbers.linearKeyHeadCount),
    linear_num_value_heads: number(numbers.linearValueHeadCount),
    linear_value_head_dim: number(numbers.linearHeadDim),
    max_position_embeddings: number(numbers.maxPositions),
    mlp_only_layers: [],
    model_type: 'qwen3_5_moe_text',
    moe_intermediate_size: number(numbers.expertWidth),
    mtp_num_hidden_layers: number(mtpLayout === 'none' ? 0 : 1),
    mtp_use_dedicated_embeddings: false,
    num_attention_heads: number(numbers.headCount),
    num_experts: number(numbers.expertCount),
    num_experts_per_tok: number(numbers.topK),
    num_hidden_layers: number(numbers.layerCount),
    num_key_value_heads: number(numbers.kvHeadCount),
    rms_norm_eps: number('1e-06'),
    router_aux_loss_coef: number('0.001'),
    shared_expert_intermediate_size: number(numbers.sharedExpertWidth),
    tie_word_embeddings: !hasHead,
    use_cache: true,
    vocab_size: number(numbers.vocabSize),
    mamba_ssm_dtype: 'float32',
    rope_parameters: {
      mrope_interleaved: true,
      mrope_section: mropeSection(numbers.headDim / 8).map(number),
      rope_type: 'default',
      rope_theta: number(10_000_000),
      partial_rotary_factor: number('0.25'),
    },
  }
}

/** Splits the rotary frequencies (a quarter of the head, in pairs) over time, height and width: 32 become 11, 11, 10. */
function mropeSection(frequencyCount: number): readonly number[] {
  return [0, 1, 2].map((axis) => Math.floor((frequencyCount + 2 - axis) / 3))
}

function visionConfig(numbers: SampleNumbers): JsonObject {
  return {
    deepstack_visual_indexes: [],
    depth: number(numbers.visionDepth),
    hidden_act: 'gelu_pytorch_tanh',
    hidden_size: number(numbers.visionWidth),
    in_channels: number(3),
    initializer_range: number('0.02'),
    intermediate_size: number(numbers.visionMlpWidth),
    model_type: 'qwen3_5_moe',
    num_heads: number(numbers.visionWidth % 16 === 0 ? numbers.visionWidth / 16 : 1),
    num_position_embeddings: number(numbers.visionPositions),
    out_hidden_size: number(numbers.hiddenSize),
    patch_size: number(16),
    spatial_merge_size: number(2),
    temporal_patch_size: number(2),
  }
}
