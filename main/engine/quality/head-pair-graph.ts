/** Vocabulary projections of two models side by side on a part of the vocabulary: what losses, divergence and first choices add up from. */
import { HEAD_SITE } from '../calibration/forward/head.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor, type Value } from '../onnx/graph-builder.ts'
import { rmsNorm } from '../onnx/graph-ops.ts'
import { ONNX_TYPE } from '../onnx/proto-writer.ts'

/** Site of the original's projection, which nothing rounds. */
const ORIGINAL_SITE = 'original'

/**
 * Feeds for `a` (original) and `b` (quantized): `a.x` f32 [rows, H] after the last layer, `a.norm` f32 [H] already 1 + w, `a.weight`
 * f32 [part, H]; `target` int32 [rows, 1] in 0..part−1. Outputs f32 [rows, 1]: `a.maximum`, `a.sum`, `a.chosen`, int32 `a.place`, the same
 * for b, and `weighted` = Σ exp(logit a − maximum a) · (logit a − logit b).
 */
export function headPairGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
): GraphBuilder {
  const graph = new GraphBuilder('head_pair', interceptors)
  const target = graph.input('target', ['rows', 1], 'int32')
  const a = side(graph, config, 'a', ORIGINAL_SITE, target)
  const b = side(graph, config, 'b', HEAD_SITE, target)
  const difference = graph.node('Sub', [a.logits, b.logits])
  graph.output('weighted', sumOfRow(graph, graph.node('Mul', [a.exponentials, difference])))
  return graph
}

function side(
  graph: GraphBuilder,
  { hiddenSize, rmsNormEps }: QwenTextConfig,
  name: string,
  site: string,
  target: Value,
): { readonly logits: Value; readonly exponentials: Value } {
  const x = graph.input(`${name}.x`, ['rows', hiddenSize])
  const normed = rmsNorm(graph, x, graph.input(`${name}.norm`, [hiddenSize]), rmsNormEps)
  const logits = graph.linear(normed, graph.input(`${name}.weight`, ['part', hiddenSize]), site)
  const maximum = graph.node('ReduceMax', [logits, graph.shape([-1])], { attributes: { keepdims: 1 } })
  const exponentials = graph.node('Exp', [graph.node('Sub', [logits, maximum])])
  const place = graph.node('ArgMax', [logits], { attributes: { axis: -1, keepdims: 1 } })
  graph.output(`${name}.maximum`, maximum)
  graph.output(`${name}.place`, graph.node('Cast', [place], { attributes: { to: ONNX_TYPE.int32 } }), 'int32')
  graph.output(`${name}.sum`, sumOfRow(graph, exponentials))
  graph.output(`${name}.chosen`, graph.node('GatherElements', [logits, target], { attributes: { axis: 1 } }))
  return { logits, exponentials }
}

function sumOfRow(graph: GraphBuilder, value: Value): Value {
  return graph.node('ReduceSum', [value, graph.shape([-1])], { attributes: { keepdims: 1 } })
}
