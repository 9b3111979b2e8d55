/** Routed experts on the tokens that chose them: several in one graph, because a run costs time of its own. */
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
 * The same for tiles of rows of one matrix that is already on the device, as few large products. Feeds: `normed` f32 [tokens, H]; `rows` int32
 * [tiles, width]; transposed weights of experts side by side, `gate_up` f32 [E, H, 2F] (gate columns first) and `down` f32 [E, F, H]. Tile t
 * belongs to expert t (tiles = E), or with `picksExperts` to expert `experts[t]`, int32 [tiles]. Output: `y` f32 [tiles · width, H], and
 * with `returnsInputs` the rows they are made from, `x` of the same shape.
 */
export function tiledExpertsGraph(
  config: QwenTextConfig,
  interceptors: readonly GraphInterceptor[],
  picksExperts: boolean,
  returnsInputs = false,
): GraphBuilder {
  const graph = new GraphBuilder('tiled_experts', interceptors)
  const { hiddenSize: h, expertWidth: f } = config
  const gather = (data: Value, index: Value): Value =>
    graph.node('Gather', [data, index], { attributes: { axis: 0 } })
  const normed = graph.input('normed', ['tokens', h])
  const x = gather(normed, graph.input('rows', ['tiles', 'width'], 'int32'))
  const experts = picksExperts ? graph.input('experts', ['tiles'], 'int32') : undefined
  const weight = (name: string, rows: number, cols: number): Value => {
    const all = graph.input(name, ['expert_count', rows, cols])
    return experts === undefined ? all : gather(all, experts)
  }
  const gateUp = graph.tiledLinear(x, weight('gate_up', h, 2 * f), GATE_UP_SITE)
  const activated = gatedActivation(graph, gateUp, f)
  const y = graph.tiledLinear(activated, weight('down', f, h), DOWN_SITE)
  graph.output('y', graph.node('Reshape', [y, graph.shape([-1, h])]))
  if (returnsInputs) graph.output('x', graph.node('Reshape', [x, graph.shape([-1, h])]))
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
  const activated = gatedActivation(graph, graph.linear(x, gateUp, GATE_UP_SITE, slot), f)
  return graph.linear(activated, down, DOWN_SITE, slot)
}

/** silu(gate) ⊙ up of [..., 2F], gate first. */
function gatedActivation(graph: GraphBuilder, gateUp: Value, f: number): Value {
  const [gate = gateUp, up = gateUp] = splitLast(graph, gateUp, [f, f])
  return graph.node('Mul', [silu(graph, gate), up])
}

function slotName(part: string, slot: number): string {
  return `${part}.${String(slot)}`
}
