/** Routed experts on the tokens that chose them. One graph holds several experts side by side, so that a device gets more work per run. */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor, type Value } from '../../onnx/graph-builder.ts'
import { silu, splitLast } from '../../onnx/graph-ops.ts'

export const GATE_UP_SITE = 'mlp.experts.gate_up_proj'
export const DOWN_SITE = 'mlp.experts.down_proj'

/**
 * For slots 0..slotCount-1. Feeds per slot s: `x.s` f32 [rows_s, H] (rows_s ≥ 1), `gate_up.s` f32 [2F, H] (gate rows first),
 * `down.s` f32 [H, F]. Output per slot: `y.s` f32 [rows_s, H], not yet multiplied by the routing weight.
 */
export function expertsGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  slotCount: number,
): GraphBuilder {
  const graph = new GraphBuilder(`experts_${String(slotCount)}`, interceptors)
  for (let slot = 0; slot < slotCount; slot += 1) {
    const x = graph.input(slotName('x', slot), [slotName('rows', slot), config.hiddenSize])
    graph.output(slotName('y', slot), expert(graph, config, x, slot))
  }
  return graph
}

/**
 * The same on rows of one matrix that is already on the device. Feeds: `normed` f32 [tokens, H]; per slot `rows.s` int32 [rows_s] (rows_s ≥ 1)
 * and the weights as above. Output: `y` f32 [Σ rows_s, H], slot after slot, not yet multiplied by the routing weight.
 */
export function gatheredExpertsGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  slotCount: number,
): GraphBuilder {
  const graph = new GraphBuilder(`gathered_experts_${String(slotCount)}`, interceptors)
  const normed = graph.input('normed', ['tokens', config.hiddenSize])
  const outputs = Array.from({ length: slotCount }, (_, slot) => {
    const rows = graph.input(slotName('rows', slot), [`count_${String(slot)}`], 'int32')
    return expert(graph, config, graph.node('Gather', [normed, rows], { attributes: { axis: 0 } }), slot)
  })
  const [first] = outputs
  const isSingle = first !== undefined && outputs.length === 1
  graph.output('y', isSingle ? first : graph.node('Concat', outputs, { attributes: { axis: 0 } }))
  return graph
}

function expert(
  graph: GraphBuilder,
  { hiddenSize: h, expertWidth: f }: QwenTextConfig,
  x: Value,
  slot: number,
): Value {
  const gateUp = graph.input(slotName('gate_up', slot), [2 * f, h])
  const down = graph.input(slotName('down', slot), [h, f])
  const [gate = x, up = x] = splitLast(graph, graph.linear(x, gateUp, GATE_UP_SITE, slot), [f, f])
  const activated = graph.node('Mul', [silu(graph, gate), up])
  return graph.linear(activated, down, DOWN_SITE, slot)
}

function slotName(part: string, slot: number): string {
  return `${part}.${String(slot)}`
}
