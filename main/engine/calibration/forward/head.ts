/**
 * Final norm and vocabulary projection. The projection is cut along the vocabulary, because a whole one is a tensor of several gigabytes;
 * each part returns what a softmax over all parts can be put together from.
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor } from '../../onnx/graph-builder.ts'
import { flatten, rmsNorm } from '../../onnx/graph-ops.ts'

export const HEAD_SITE = 'lm_head'

/** Feeds: `x` f32 [rows, H] (`sequences`: [B, T, H]), `norm.weight` f32 [H] already 1 + w. Output: `normed` f32 [rows, H], tapped as the input of lm_head. */
export function finalNormGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  layout: 'rows' | 'sequences' = 'rows',
): GraphBuilder {
  const graph = new GraphBuilder('final_norm', interceptors)
  const { hiddenSize } = config
  const given = graph.input('x', layout === 'rows' ? ['rows', hiddenSize] : ['batch', 'time', hiddenSize])
  const x = layout === 'rows' ? given : flatten(graph, given, hiddenSize)
  const scale = graph.input('norm.weight', [config.hiddenSize])
  graph.output('normed', graph.tap(rmsNorm(graph, x, scale, config.rmsNormEps), HEAD_SITE))
  return graph
}

/**
 * Feeds: `normed` f32 [rows, H], `weight` f32 [part, H], `target` int32 [rows, 1], each in 0..part-1. Outputs, all f32 [rows, 1]:
 * `maximum` of the logits, `sum` of exp(logit − maximum), `chosen` = logit of the target.
 */
export function headGraph(config: QwenTextConfig, interceptors: readonly GraphInterceptor[]): GraphBuilder {
  const graph = new GraphBuilder('head', interceptors)
  const normed = graph.input('normed', ['rows', config.hiddenSize])
  const weight = graph.input('weight', ['part', config.hiddenSize])
  const target = graph.input('target', ['rows', 1], 'int32')
  const logits = graph.linear(normed, weight, HEAD_SITE)
  const overLast = { attributes: { keepdims: 1 } }
  const maximum = graph.node('ReduceMax', [logits, graph.shape([-1])], overLast)
  const shifted = graph.node('Exp', [graph.node('Sub', [logits, maximum])])
  graph.output('maximum', maximum)
  graph.output('sum', graph.node('ReduceSum', [shifted, graph.shape([-1])], overLast))
  graph.output('chosen', graph.node('GatherElements', [logits, target], { attributes: { axis: 1 } }))
  return graph
}
