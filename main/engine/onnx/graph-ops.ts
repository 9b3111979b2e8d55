/** Small compositions that every part of the forward pass uses. Only operators that stay on the GPU with the WebGPU provider. */
import type { GraphBuilder, Value } from './graph-builder.ts'

/** x · sigmoid(x), element by element. */
export function silu(graph: GraphBuilder, x: Value): Value {
  return graph.node('Mul', [x, graph.node('Sigmoid', [x])])
}

/** x · rsqrt(mean(x²) + eps) · scale over the last axis; `scale` is the effective multiplier (1 + w for zero-centred norms). */
export function rmsNorm(graph: GraphBuilder, x: Value, scale: Value, epsilon: number): Value {
  return graph.node('SimplifiedLayerNormalization', [x, scale], {
    attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
  })
}

/** x · rsqrt(Σx² + eps) over the last axis: eps is inside the root of the sum, which LpNormalization cannot do. */
export function l2Norm(graph: GraphBuilder, x: Value, epsilon: number): Value {
  const sum = graph.node('ReduceSum', [graph.node('Mul', [x, x]), graph.shape([-1])], {
    attributes: { keepdims: 1 },
  })
  const root = graph.node('Sqrt', [graph.node('Add', [sum, graph.constant([epsilon])])])
  return graph.node('Div', [x, root])
}

/** ln(1 + eˣ) as max(x, 0) + ln(1 + e^-|x|): never overflows, and the Softplus operator has no WebGPU kernel. */
export function softplus(graph: GraphBuilder, x: Value): Value {
  const decayed = graph.node('Exp', [graph.node('Neg', [graph.node('Abs', [x])])])
  const correction = graph.node('Log', [graph.node('Add', [decayed, graph.constant([1])])])
  return graph.node('Add', [graph.node('Max', [x, graph.constant([0])]), correction])
}

/** [rows, width] -> [like[0], like[1], ...sizes]: gives flattened tokens their batch and time axes back. */
export function unflatten(graph: GraphBuilder, x: Value, like: Value, sizes: readonly number[]): Value {
  const batchAndTime = graph.node('Shape', [like], { attributes: { start: 0, end: 2 } })
  const target = graph.node('Concat', [batchAndTime, graph.shape(sizes)], { attributes: { axis: 0 } })
  return graph.node('Reshape', [x, target])
}

/** Any shape -> [rows, width]. */
export function flatten(graph: GraphBuilder, x: Value, width: number): Value {
  return graph.node('Reshape', [x, graph.shape([-1, width])])
}

/** Consecutive parts of the last axis, of the given sizes. */
export function splitLast(graph: GraphBuilder, x: Value, sizes: readonly number[]): readonly Value[] {
  return graph.nodeWithOutputs('Split', [x, graph.shape(sizes)], {
    attributes: { axis: -1 },
    outputCount: sizes.length,
  })
}

/** SwiGLU feed-forward: down · (silu(gate · x) ⊙ up · x), all three products interceptable at `<site>.<name>_proj`. */
export function swiglu(
  graph: GraphBuilder,
  x: Value,
  weights: { readonly gate: Value; readonly up: Value; readonly down: Value },
  sites: { readonly gate: string; readonly up: string; readonly down: string },
  slot = 0,
): Value {
  const gate = graph.linear(x, weights.gate, sites.gate, slot)
  const up = graph.linear(x, weights.up, sites.up, slot)
  const activated = graph.node('Mul', [silu(graph, gate), up])
  return graph.linear(activated, weights.down, sites.down, slot)
}
