/**
 * What every token passes in an MoE block: norm, router probabilities and the shared expert. Routed experts run on their own tokens in
 * experts.ts; choosing them is done outside the graph, so that ties are broken the same way on every device.
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor, type Value } from '../../onnx/graph-builder.ts'
import { flatten, rmsNorm, swiglu, unflatten } from '../../onnx/graph-ops.ts'

const SHARED = 'mlp.shared_expert'
/** Reads the same tensor as the routed experts. */
export const ROUTER_SITE = 'mlp.gate'

/**
 * Feeds: `x` f32 [rows, H] (`sequences`: [B, T, H], and `y` as well) and the tensors by local name (norm scale already 1 + w). Outputs:
 * `normed` f32 [rows, H] (input of the routed experts; `sequences`: one more row, of zeros), `probability` f32 [rows, E] (softmax over all experts), `y` f32 [rows, H] = x + gate · shared expert.
 */
export function moeFrontGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  layout: 'rows' | 'sequences' = 'rows',
): GraphBuilder {
  const graph = new GraphBuilder('moe_front', interceptors)
  const { hiddenSize: h, sharedExpertWidth: s } = config
  const given = graph.input('x', layout === 'rows' ? ['rows', h] : ['batch', 'time', h])
  const x = layout === 'rows' ? given : flatten(graph, given, h)
  const weight = (name: string, rows: number, cols: number): Value =>
    graph.input(`${name}.weight`, [rows, cols])
  const normed = rmsNorm(graph, x, graph.input('post_attention_layernorm.weight', [h]), config.rmsNormEps)
  const scores = graph.linear(normed, weight(ROUTER_SITE, config.expertCount, h), ROUTER_SITE)
  graph.output('probability', graph.node('Softmax', [scores], { attributes: { axis: -1 } }))
  const sites = {
    gate: `${SHARED}.gate_proj`,
    up: `${SHARED}.up_proj`,
    down: `${SHARED}.down_proj`,
  }
  const weights = {
    gate: weight(sites.gate, s, h),
    up: weight(sites.up, s, h),
    down: weight(sites.down, h, s),
  }
  const shared = swiglu(graph, normed, weights, sites)
  const opening = graph.linear(normed, weight('mlp.shared_expert_gate', 1, h), 'mlp.shared_expert_gate')
  const gated = graph.node('Mul', [shared, graph.node('Sigmoid', [opening])])
  const zeros = graph.constant(Array<number>(h).fill(0), [1, h])
  graph.output(
    'normed',
    layout === 'rows' ? normed : graph.node('Concat', [normed, zeros], { attributes: { axis: 0 } }),
  )
  const sum = graph.node('Add', [x, gated])
  graph.output('y', layout === 'rows' ? sum : unflatten(graph, sum, given, [h]))
  return graph
}
