/** Routed experts on the tokens that chose them. One graph holds several experts side by side, so that a device gets more work per run. */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { GraphBuilder, type GraphInterceptor } from '../../onnx/graph-builder.ts'
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
  const { hiddenSize: h, expertWidth: f } = config
  for (let slot = 0; slot < slotCount; slot += 1) {
    const name = (part: string): string => `${part}.${String(slot)}`
    const x = graph.input(name('x'), [name('rows'), h])
    const gateUp = graph.input(name('gate_up'), [2 * f, h])
    const down = graph.input(name('down'), [h, f])
    const [gate = x, up = x] = splitLast(graph, graph.linear(x, gateUp, GATE_UP_SITE, slot), [f, f])
    const activated = graph.node('Mul', [silu(graph, gate), up])
    graph.output(name('y'), graph.linear(activated, down, DOWN_SITE, slot))
  }
  return graph
}
