/**
 * The gated softmax-attention mixer of a full-attention layer, residual included. Queries and output gates alternate per head in q_proj;
 * queries and keys are normalised per head, then the first channels of each head rotate. Source: modeling_qwen3_5_moe.py, transformers 5.18.
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor, type Value } from '../../onnx/graph-builder.ts'
import { flatten, rmsNorm, splitLast, unflatten } from '../../onnx/graph-ops.ts'
import { mixerInputs } from './mixer-inputs.ts'

const SITE = 'self_attn'
/** Tap sites of the cached tensors: keys after norm and rotation, values as projected. */
export const KEY_SITE = `${SITE}.k_bmm_quantizer`
export const VALUE_SITE = `${SITE}.v_bmm_quantizer`
/** Added to scores of later positions; far below every score, and finite so that no NaN can arise from it. */
const MASKED = -3e38

/** Half-open ranges of positions whose queries are attended together; bounds the score matrix. */
export interface QueryBlock {
  readonly start: number
  readonly end: number
}

/**
 * Feeds: `x` f32 [B, T, H]; `position` f32 [T] = 0..T-1; `cosine`, `sine` f32 [T, rotaryDim / 2]; the layer's tensors by local name
 * (norm scales already 1 + w). Output: `y` f32 [B, T, H]. With more than one block T is fixed to the end of the last one.
 */
export function fullAttentionGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  blocks: readonly QueryBlock[] = [],
): GraphBuilder {
  const graph = new GraphBuilder('full_attention', interceptors)
  const { hiddenSize: h, headCount, kvHeadCount, headDim } = config
  const { x, weight, project } = mixerInputs(graph, config, SITE)
  const pairs = unflatten(graph, project('q_proj', 2 * headCount * headDim), x, [headCount, 2 * headDim])
  const [queries, gates] = splitLast(graph, pairs, [headDim, headDim])
  const keys = unflatten(graph, project('k_proj', kvHeadCount * headDim), x, [kvHeadCount, headDim])
  const values = unflatten(graph, project('v_proj', kvHeadCount * headDim), x, [kvHeadCount, headDim])
  const rotation = rotationInputs(graph, config)
  const normAndRotate = (heads: Value | undefined, name: string): Value => {
    const scale = graph.input(`${SITE}.${name}.weight`, [headDim])
    return rotate(
      graph,
      config,
      byHead(graph, rmsNorm(graph, heads ?? x, scale, config.rmsNormEps)),
      rotation,
    )
  }
  const query = normAndRotate(queries, 'q_norm')
  const key = graph.tap(normAndRotate(keys, 'k_norm'), KEY_SITE)
  const value = graph.tap(byHead(graph, values), VALUE_SITE)
  const position = graph.input('position', ['time'])
  const attended = attend(graph, config, { query, key, value, position }, blocks)
  const width = headCount * headDim
  const gated = graph.node('Mul', [
    flatten(graph, attended, width),
    graph.node('Sigmoid', [flatten(graph, gates ?? x, width)]),
  ])
  const out = graph.linear(gated, weight('o_proj', h, width), `${SITE}.o_proj`)
  graph.output('y', graph.node('Add', [x, unflatten(graph, out, x, [h])]))
  return graph
}

/** [B, T, heads, dim] -> [B, heads, T, dim] */
function byHead(graph: GraphBuilder, value: Value): Value {
  return graph.node('Transpose', [value], { attributes: { perm: [0, 2, 1, 3] } })
}

interface Rotation {
  /** [T, rotaryDim / 2] each */
  readonly cosine: Value
  readonly sine: Value
}

function rotationInputs(graph: GraphBuilder, { rotaryDim }: QwenTextConfig): Rotation {
  const shape = ['time', rotaryDim / 2]
  return { cosine: graph.input('cosine', shape), sine: graph.input('sine', shape) }
}

/** Rotates channel j with channel j + rotaryDim/2 of every head; the rest of the head passes. x is [B, heads, T, headDim]. */
function rotate(
  graph: GraphBuilder,
  { rotaryDim, headDim }: QwenTextConfig,
  x: Value,
  { cosine, sine }: Rotation,
): Value {
  const half = rotaryDim / 2
  const rest = headDim - rotaryDim
  const parts = splitLast(graph, x, rest === 0 ? [half, half] : [half, half, rest])
  const [first, second, passed] = parts
  if (first === undefined || second === undefined) return x
  const times = (a: Value, b: Value): Value => graph.node('Mul', [a, b])
  const left = graph.node('Sub', [times(first, cosine), times(second, sine)])
  const right = graph.node('Add', [times(second, cosine), times(first, sine)])
  const turned = passed === undefined ? [left, right] : [left, right, passed]
  return graph.node('Concat', turned, { attributes: { axis: -1 } })
}

interface AttentionValues {
  /** [B, heads, T, dim] */
  readonly query: Value
  /** [B, kv heads, T, dim] */
  readonly key: Value
  readonly value: Value
  /** [T] */
  readonly position: Value
}

/** Causal attention; result [B, T, heads, dim]. */
function attend(
  graph: GraphBuilder,
  config: QwenTextConfig,
  values: AttentionValues,
  blocks: readonly QueryBlock[],
): Value {
  const outputs =
    blocks.length <= 1
      ? [attendBlock(graph, config, values, values.position)]
      : blocks.map(({ start, end }) => {
          const slice = (x: Value, from: number, axis: number): Value =>
            graph.node('Slice', [x, graph.shape([from]), graph.shape([end]), graph.shape([axis])])
          const { query, key, value, position } = values
          const visible = {
            query: slice(query, start, 2),
            key: slice(key, 0, 2),
            value: slice(value, 0, 2),
            position: slice(position, 0, 0),
          }
          return attendBlock(graph, config, visible, slice(position, start, 0))
        })
  const joined =
    outputs.length === 1 && outputs[0] !== undefined
      ? outputs[0]
      : graph.node('Concat', outputs, { attributes: { axis: 2 } })
  return graph.node('Transpose', [joined], { attributes: { perm: [0, 2, 1, 3] } })
}

/**
 * Queries of one block against all keys up to its end. The query heads of a kv head are stacked along time, so that keys and values need
 * not be repeated. Result [B, heads, block, dim].
 */
function attendBlock(
  graph: GraphBuilder,
  { headCount, kvHeadCount, headDim }: QwenTextConfig,
  { query, key, value, position }: AttentionValues,
  queryPosition: Value,
): Value {
  const group = headCount / kvHeadCount
  const keyTransposed = graph.node('Transpose', [key], { attributes: { perm: [0, 1, 3, 2] } })
  const scaled = graph.node('Mul', [query, graph.constant([1 / Math.sqrt(headDim)])])
  const stacked = graph.node('Reshape', [scaled, graph.shape([0, kvHeadCount, -1, headDim])])
  const scores = graph.node('MatMul', [stacked, keyTransposed])
  const batch = graph.node('Shape', [query], { attributes: { start: 0, end: 1 } })
  const lengths = graph.node(
    'Concat',
    [graph.node('Shape', [queryPosition]), graph.node('Shape', [position])],
    { attributes: { axis: 0 } },
  )
  const grouped = graph.node('Concat', [batch, graph.shape([kvHeadCount, group]), lengths], {
    attributes: { axis: 0 },
  })
  const column = graph.node('Unsqueeze', [queryPosition, graph.shape([1])])
  const isVisible = graph.node('GreaterOrEqual', [column, position])
  const masked = graph.node('Where', [
    isVisible,
    graph.node('Reshape', [scores, grouped]),
    graph.constant([MASKED]),
  ])
  const weights = graph.node('Softmax', [masked], { attributes: { axis: -1 } })
  const restacked = graph.node('Reshape', [weights, graph.node('Shape', [scores])])
  const mixed = graph.node('MatMul', [restacked, value])
  return graph.node('Reshape', [mixed, graph.node('Shape', [query])])
}
