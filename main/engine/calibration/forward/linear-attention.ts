/**
 * The gated delta-rule mixer of a linear-attention layer, residual included: y = x + out_proj(gated_norm(delta_rule(conv(in_proj(norm(x)))))).
 * Source: modeling_qwen3_5_moe.py of transformers 5.18; the recurrence and the convolution are ONNX Runtime's own operators.
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor, type Value } from '../../onnx/graph-builder.ts'
import { flatten, l2Norm, rmsNorm, silu, softplus, splitLast, unflatten } from '../../onnx/graph-ops.ts'
import { mixerInputs } from './mixer-inputs.ts'

const L2_EPSILON = 1e-6
const SITE = 'linear_attn'

/**
 * Feeds: `x` f32 [B, T, H] and the layer's tensors by local name (norm scales already 1 + w, `linear_attn.A_log` already −exp(A_log)).
 * Output: `y` f32 [B, T, H]. Every sequence starts with a zero state; there is no padding.
 */
export function linearAttentionGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
): GraphBuilder {
  const graph = new GraphBuilder('linear_attention', interceptors)
  const { hiddenSize: h, linearValueHeadCount: valueHeads } = config
  const valueWidth = valueHeads * config.linearValueHeadDim
  const channels = 2 * config.linearKeyHeadCount * config.linearKeyHeadDim + valueWidth
  const { x, weight, project } = mixerInputs(graph, config, SITE)
  const mixed = convolve(
    graph,
    config,
    unflatten(graph, project('in_proj_qkv', channels), x, [channels]),
    channels,
  )
  const z = project('in_proj_z', valueWidth)
  const beta = graph.node('Sigmoid', [unflatten(graph, project('in_proj_b', valueHeads), x, [valueHeads])])
  const a = unflatten(graph, project('in_proj_a', valueHeads), x, [valueHeads])
  const timeStep = softplus(graph, graph.node('Add', [a, graph.input(`${SITE}.dt_bias`, [valueHeads])]))
  const decay = graph.node('Mul', [timeStep, graph.input(`${SITE}.A_log`, [valueHeads])])
  const attended = deltaRule(graph, config, x, { mixed, decay, beta })
  const gated = gatedNorm(graph, config, attended, z)
  const out = graph.linear(gated, weight('out_proj', h, valueWidth), `${SITE}.out_proj`)
  graph.output('y', graph.node('Add', [x, unflatten(graph, out, x, [h])]))
  return graph
}

/** Causal depthwise convolution over time with SiLU; [B, T, C] -> [B, T, C]. */
function convolve(graph: GraphBuilder, config: QwenTextConfig, mixed: Value, channels: number): Value {
  const kernel = graph.input(`${SITE}.conv1d.weight`, [channels, 1, config.convKernelSize])
  const transposed = graph.node('Transpose', [mixed], { attributes: { perm: [0, 2, 1] } })
  const convolved = graph.node('CausalConvWithState', [transposed, kernel], {
    domain: 'com.microsoft',
    attributes: { ndim: 1, activation: 'silu' },
    outputCount: 2,
  })
  return graph.node('Transpose', [convolved], { attributes: { perm: [0, 2, 1] } })
}

interface DeltaRuleValues {
  /** [B, T, 2·keys + values] */
  readonly mixed: Value
  /** Natural logarithm of the state's decay, [B, T, value heads], ≤ 0 */
  readonly decay: Value
  /** [B, T, value heads] */
  readonly beta: Value
}

/** The recurrence; each key head serves consecutive value heads. Result [B, T, values]. */
function deltaRule(
  graph: GraphBuilder,
  config: QwenTextConfig,
  x: Value,
  { mixed, decay, beta }: DeltaRuleValues,
): Value {
  const { linearKeyHeadCount: keyHeads, linearKeyHeadDim: keyDim } = config
  const keyWidth = keyHeads * keyDim
  const valueWidth = config.linearValueHeadCount * config.linearValueHeadDim
  const [query, key, value] = splitLast(graph, mixed, [keyWidth, keyWidth, valueWidth])
  const normalise = (part: Value | undefined): Value | '' =>
    part === undefined
      ? ''
      : unflatten(graph, l2Norm(graph, unflatten(graph, part, x, [keyHeads, keyDim]), L2_EPSILON), x, [
          keyWidth,
        ])
  return graph.node('LinearAttention', [normalise(query), normalise(key), value ?? '', '', decay, beta], {
    domain: 'com.microsoft',
    attributes: {
      q_num_heads: keyHeads,
      kv_num_heads: config.linearValueHeadCount,
      update_rule: 'gated_delta',
      scale: { float: 1 / Math.sqrt(keyDim) },
    },
    outputCount: 2,
  })
}

/** Per value head: rms(o) · w (not zero-centred) · silu(z); result [rows, values]. */
function gatedNorm(graph: GraphBuilder, config: QwenTextConfig, attended: Value, z: Value): Value {
  const { linearValueHeadCount: heads, linearValueHeadDim: dim } = config
  const perHead = (value: Value): Value => graph.node('Reshape', [value, graph.shape([-1, heads, dim])])
  const normed = rmsNorm(
    graph,
    perHead(attended),
    graph.input(`${SITE}.norm.weight`, [dim]),
    config.rmsNormEps,
  )
  const gated = graph.node('Mul', [normed, silu(graph, perHead(z))])
  return flatten(graph, gated, heads * dim)
}
