/** Names and shapes of a decoder layer's tensors as a function of the configuration. Shapes are row-major, linears [out, in]. */
import type { TensorRole } from '../moe-model.ts'
import type { MixerKind, QwenTextConfig } from './text-config.ts'

export interface ExpectedTensor {
  /** Name below the layer, e.g. `self_attn.q_proj.weight`. */
  readonly name: string
  readonly shape: readonly number[]
  readonly role: TensorRole
  /** True for a matrix product that a recipe can address; its module is the name without `.weight`. */
  readonly isLinear: boolean
}

/** Tensors of a layer's mixer in state-dict order. */
export function mixerTensors(kind: MixerKind, config: QwenTextConfig): readonly ExpectedTensor[] {
  return kind === 'full_attention' ? fullAttention(config) : linearAttention(config)
}

function fullAttention({
  hiddenSize: h,
  headCount,
  kvHeadCount,
  headDim,
}: QwenTextConfig): readonly ExpectedTensor[] {
  const attention = (name: string, shape: readonly number[], isLinear: boolean): ExpectedTensor => ({
    name: `self_attn.${name}.weight`,
    shape,
    role: isLinear ? 'attention' : 'norm',
    isLinear,
  })
  return [
    attention('q_proj', [2 * headCount * headDim, h], true),
    attention('k_proj', [kvHeadCount * headDim, h], true),
    attention('v_proj', [kvHeadCount * headDim, h], true),
    attention('o_proj', [h, headCount * headDim], true),
    attention('q_norm', [headDim], false),
    attention('k_norm', [headDim], false),
  ]
}

function linearAttention(config: QwenTextConfig): readonly ExpectedTensor[] {
  const h = config.hiddenSize
  const valueHeads = config.linearValueHeadCount
  const keyWidth = config.linearKeyHeadCount * config.linearKeyHeadDim
  const valueWidth = valueHeads * config.linearValueHeadDim
  const channels = 2 * keyWidth + valueWidth
  const entry = (name: string, shape: readonly number[], isLinear = false): ExpectedTensor => ({
    name: `linear_attn.${name}`,
    shape,
    role: name === 'norm.weight' ? 'norm' : 'linear_attention',
    isLinear,
  })
  return [
    entry('dt_bias', [valueHeads]),
    entry('A_log', [valueHeads]),
    entry('conv1d.weight', [channels, 1, config.convKernelSize]),
    entry('norm.weight', [config.linearValueHeadDim]),
    entry('out_proj.weight', [h, valueWidth], true),
    entry('in_proj_qkv.weight', [channels, h], true),
    entry('in_proj_z.weight', [valueWidth, h], true),
    entry('in_proj_b.weight', [valueHeads, h], true),
    entry('in_proj_a.weight', [valueHeads, h], true),
  ]
}

/** The router [E, H], between mixer and experts in state-dict order. */
export function routerTensor({ expertCount, hiddenSize }: QwenTextConfig): ExpectedTensor {
  return { name: 'mlp.gate.weight', shape: [expertCount, hiddenSize], role: 'router', isLinear: false }
}

/** Shared expert, its gate and the two norms, which follow the experts in state-dict order. */
export function tensorsAfterExperts(config: QwenTextConfig): readonly ExpectedTensor[] {
  const { hiddenSize: h, sharedExpertWidth: s } = config
  const shared = (name: string, shape: readonly number[]): ExpectedTensor => ({
    name: `mlp.${name}.weight`,
    shape,
    role: 'shared_expert',
    isLinear: true,
  })
  const norm = (name: string): ExpectedTensor => ({
    name: `${name}.weight`,
    shape: [h],
    role: 'norm',
    isLinear: false,
  })
  return [
    shared('shared_expert.gate_proj', [s, h]),
    shared('shared_expert.up_proj', [s, h]),
    shared('shared_expert.down_proj', [h, s]),
    shared('shared_expert_gate', [1, h]),
    norm('input_layernorm'),
    norm('post_attention_layernorm'),
  ]
}

/** Groups of linears that read the same tensor, by name below the layer. */
export const FUSION_GROUPS: Readonly<Record<MixerKind | 'mlp', readonly string[]>> = {
  full_attention: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  linear_attention: ['linear_attn.in_proj_qkv', 'linear_attn.in_proj_z'],
  mlp: ['mlp.shared_expert.gate_proj', 'mlp.shared_expert.up_proj'],
}

/** Modules of a mixer in the order of the model's module tree. */
export const MIXER_MODULES: Readonly<Record<MixerKind, readonly string[]>> = {
  full_attention: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj'],
  linear_attention: [
    'linear_attn.conv1d',
    'linear_attn.out_proj',
    'linear_attn.in_proj_qkv',
    'linear_attn.in_proj_z',
    'linear_attn.in_proj_b',
    'linear_attn.in_proj_a',
  ],
}
