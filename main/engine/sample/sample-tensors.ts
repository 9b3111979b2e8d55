/**
 * Tensors of a synthetic checkpoint in state-dict order. Values depend on the seed and on a key that names the matrix independently of
 * prefix and expert layout, so the same model can be written in every layout.
 */
import type { HeaderTensor } from '../formats/safetensors/build-header.ts'
import { isFullAttention } from './sample-config.ts'
import type { SampleLayout } from './sample-options.ts'
import type { SampleNumbers } from './sample-shapes.ts'

/** Distribution of the values of a part. `normal` is fast; the others are for small tensors. */
export type SampleFill =
  | { readonly kind: 'normal'; readonly std: number }
  | { readonly kind: 'around'; readonly mean: number; readonly std: number }
  /** Natural logarithm of a uniform value, as A_log is initialised. */
  | { readonly kind: 'log_uniform'; readonly low: number; readonly high: number }

export interface SamplePart {
  readonly key: string
  readonly elementCount: number
  readonly fill: SampleFill
}

export interface SampleTensor extends HeaderTensor {
  /** In memory order; together they are the tensor. */
  readonly parts: readonly SamplePart[]
}

type Emit = (name: string, shape: readonly number[], fill: SampleFill, dtype?: 'BF16' | 'F32') => void

/** Zero-centred norms (effective scale 1 + w) of trained models stay within a few tenths. */
const NORM: SampleFill = { kind: 'around', mean: 0, std: 0.1 }
const PLAIN_NORM: SampleFill = { kind: 'around', mean: 1, std: 0.1 }

/** Standard deviation that keeps the variance of activations near 1 through a linear layer of this width. */
function fanIn(width: number): SampleFill {
  return { kind: 'normal', std: Math.min(0.06, 1 / Math.sqrt(width)) }
}

/** Every tensor of the checkpoint: vision, embedding, layers, norm, head, MTP. */
export function sampleTensors(layout: SampleLayout): readonly SampleTensor[] {
  const { numbers, prefix, hasVision, hasHead, mtpLayout } = layout
  const tensors: SampleTensor[] = []
  const tower = prefix === 'nested' ? 'model.language_model' : 'model'
  const under =
    (root: string, keyRoot: string): Emit =>
    (name, shape, fill, dtype = 'BF16') => {
      const elementCount = shape.reduce((product, size) => product * size, 1)
      const parts = [{ key: keyRoot + name, elementCount, fill }]
      tensors.push({ name: root + name, dtype, shape, parts })
    }
  const { hiddenSize: h, vocabSize } = numbers
  if (hasVision && prefix === 'nested') addVision(under('model.visual.', 'visual.'), numbers)
  const emit = under(`${tower}.`, '')
  emit('embed_tokens.weight', [vocabSize, h], { kind: 'normal', std: 0.02 })
  for (let layer = 0; layer < numbers.layerCount; layer += 1) {
    const path = `layers.${String(layer)}.`
    const add = under(`${tower}.${path}`, path)
    if (isFullAttention(layer, numbers)) addFullAttention(add, numbers)
    else addLinearAttention(add, numbers, layout.stateDtype)
    add('mlp.gate.weight', [numbers.expertCount, h], fanIn(h))
    tensors.push(...expertTensors(`${tower}.${path}`, path, numbers, layout.expertLayout))
    addAfterExperts(add, numbers)
  }
  emit('norm.weight', [h], NORM)
  if (hasHead) under('', '')('lm_head.weight', [vocabSize, h], fanIn(h))
  if (mtpLayout !== 'none') {
    const add = under('mtp.', 'mtp.')
    add('fc.weight', [h, 2 * h], fanIn(2 * h))
    add('pre_fc_norm_embedding.weight', [h], NORM)
    add('pre_fc_norm_hidden.weight', [h], NORM)
    const block = under('mtp.layers.0.', 'mtp.layers.0.')
    addFullAttention(block, numbers)
    block('mlp.gate.weight', [numbers.expertCount, h], fanIn(h))
    tensors.push(...expertTensors('mtp.layers.0.', 'mtp.layers.0.', numbers, mtpLayout))
    addAfterExperts(block, numbers)
    add('norm.weight', [h], NORM)
  }
  return tensors
}

function addFullAttention(
  add: Emit,
  { hiddenSize: h, headCount, kvHeadCount, headDim }: SampleNumbers,
): void {
  add('self_attn.q_proj.weight', [2 * headCount * headDim, h], fanIn(h))
  add('self_attn.k_proj.weight', [kvHeadCount * headDim, h], fanIn(h))
  add('self_attn.v_proj.weight', [kvHeadCount * headDim, h], fanIn(h))
  add('self_attn.o_proj.weight', [h, headCount * headDim], fanIn(headCount * headDim))
  add('self_attn.q_norm.weight', [headDim], NORM)
  add('self_attn.k_norm.weight', [headDim], NORM)
}

function addLinearAttention(add: Emit, numbers: SampleNumbers, stateDtype: 'F32' | 'BF16'): void {
  const { hiddenSize: h, linearValueHeadCount: heads, linearHeadDim } = numbers
  const valueWidth = heads * linearHeadDim
  const channels = 2 * numbers.linearKeyHeadCount * linearHeadDim + valueWidth
  add('linear_attn.dt_bias', [heads], { kind: 'around', mean: -2, std: 1 })
  add('linear_attn.A_log', [heads], { kind: 'log_uniform', low: 1, high: 16 }, stateDtype)
  add('linear_attn.conv1d.weight', [channels, 1, 4], { kind: 'around', mean: 0, std: 0.3 })
  add('linear_attn.norm.weight', [linearHeadDim], PLAIN_NORM, stateDtype)
  add('linear_attn.out_proj.weight', [h, valueWidth], fanIn(valueWidth))
  add('linear_attn.in_proj_qkv.weight', [channels, h], fanIn(h))
  add('linear_attn.in_proj_z.weight', [valueWidth, h], fanIn(h))
  add('linear_attn.in_proj_b.weight', [heads, h], fanIn(h))
  add('linear_attn.in_proj_a.weight', [heads, h], fanIn(h))
}

function addAfterExperts(add: Emit, { hiddenSize: h, sharedExpertWidth: s }: SampleNumbers): void {
  add('mlp.shared_expert.gate_proj.weight', [s, h], fanIn(h))
  add('mlp.shared_expert.up_proj.weight', [s, h], fanIn(h))
  add('mlp.shared_expert.down_proj.weight', [h, s], fanIn(s))
  add('mlp.shared_expert_gate.weight', [1, h], fanIn(h))
  add('input_layernorm.weight', [h], NORM)
  add('post_attention_layernorm.weight', [h], NORM)
}

/** Experts of a layer: two 3-D tensors made of per-expert parts, or three matrices per expert with the same parts. */
function expertTensors(
  root: string,
  keyRoot: string,
  { expertCount, expertWidth: f, hiddenSize: h }: SampleNumbers,
  layout: 'fused' | 'per_expert',
): readonly SampleTensor[] {
  const part = (expert: number, projection: string, width: number): SamplePart => ({
    key: `${keyRoot}experts.${String(expert)}.${projection}`,
    elementCount: f * h,
    fill: fanIn(width),
  })
  const experts = Array.from({ length: expertCount }, (_, expert) => ({
    gate: part(expert, 'gate_proj', h),
    up: part(expert, 'up_proj', h),
    down: part(expert, 'down_proj', f),
  }))
  const module = `${root}mlp.experts`
  if (layout === 'fused') {
    const gateUp = experts.flatMap(({ gate, up }) => [gate, up])
    const down = experts.map((expert) => expert.down)
    return [
      { name: `${module}.gate_up_proj`, dtype: 'BF16', shape: [expertCount, 2 * f, h], parts: gateUp },
      { name: `${module}.down_proj`, dtype: 'BF16', shape: [expertCount, h, f], parts: down },
    ]
  }
  return experts.flatMap(({ gate, up, down }, expert): readonly SampleTensor[] => {
    const path = `${module}.${String(expert)}`
    return [
      { name: `${path}.gate_proj.weight`, dtype: 'BF16', shape: [f, h], parts: [gate] },
      { name: `${path}.up_proj.weight`, dtype: 'BF16', shape: [f, h], parts: [up] },
      { name: `${path}.down_proj.weight`, dtype: 'BF16', shape: [h, f], parts: [down] },
    ]
  })
}

function addVision(add: Emit, numbers: SampleNumbers): void {
  const { visionWidth: w, visionMlpWidth: m, hiddenSize: h } = numbers
  const bias: SampleFill = { kind: 'around', mean: 0, std: 0.02 }
  const linear = (name: string, out: number, width: number): void => {
    add(`${name}.weight`, [out, width], fanIn(width))
    add(`${name}.bias`, [out], bias)
  }
  const norm = (name: string): void => {
    add(`${name}.weight`, [w], PLAIN_NORM)
    add(`${name}.bias`, [w], bias)
  }
  add('patch_embed.proj.weight', [w, 3, 2, 16, 16], { kind: 'normal', std: 0.02 })
  add('patch_embed.proj.bias', [w], bias)
  add('pos_embed.weight', [numbers.visionPositions, w], { kind: 'normal', std: 0.02 })
  for (let block = 0; block < numbers.visionDepth; block += 1) {
    const path = `blocks.${String(block)}`
    norm(`${path}.norm1`)
    norm(`${path}.norm2`)
    linear(`${path}.attn.qkv`, 3 * w, w)
    linear(`${path}.attn.proj`, w, w)
    linear(`${path}.mlp.linear_fc1`, m, w)
    linear(`${path}.mlp.linear_fc2`, w, m)
  }
  norm('merger.norm')
  linear('merger.linear_fc1', 4 * w, 4 * w)
  linear('merger.linear_fc2', h, 4 * w)
}
