/** What both mixers begin with: hidden states, normalised, and their projections by the weights of the layer. */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import type { GraphBuilder, Value } from '../../onnx/graph-builder.ts'
import { flatten, rmsNorm } from '../../onnx/graph-ops.ts'

export interface MixerInputs {
  /** f32 [B, T, H], before the norm: what the residual adds. */
  readonly x: Value
  /** A weight of the mixer by its name within the site. */
  readonly weight: (name: string, rows: number, cols: number) => Value
  /** [B · T, rows]: the normalised hidden states times a weight. */
  readonly project: (name: string, rows: number) => Value
}

export function mixerInputs(graph: GraphBuilder, config: QwenTextConfig, site: string): MixerInputs {
  const { hiddenSize: h, rmsNormEps } = config
  const x = graph.input('x', ['batch', 'time', h])
  const weight = (name: string, rows: number, cols: number): Value =>
    graph.input(`${site}.${name}.weight`, [rows, cols])
  const normed = flatten(graph, rmsNorm(graph, x, graph.input('input_layernorm.weight', [h]), rmsNormEps), h)
  const project = (name: string, rows: number): Value =>
    graph.linear(normed, weight(name, rows, h), `${site}.${name}`)
  return { x, weight, project }
}
