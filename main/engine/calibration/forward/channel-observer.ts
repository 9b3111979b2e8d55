/**
 * Watches the single channels of what flows into every linear: adds two outputs per graph, the largest and the summed magnitude of every
 * input channel over the rows of the run. One instance per graph; linears that read the same tensor share their numbers.
 */
import { invariant } from '../../../../shared/errors/app-error.ts'
import type { GraphBuilder, GraphInterceptor, LinearOperands, Value } from '../../onnx/graph-builder.ts'
import type { GraphTensor } from '../../onnx/graph-runtime.ts'
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { DOWN_SITE } from './experts.ts'
import { HEAD_SITE } from './head.ts'

/** Magnitudes of the input channels of one site in one run, f32 [channels] each. */
export interface ChannelReport {
  readonly amax: Float32Array
  readonly sumAbs: Float32Array
}

const AMAX_OUTPUT = 'channel_amax'
const SUM_OUTPUT = 'channel_sum'

interface Watched {
  readonly sites: string[]
  readonly slot: number
  readonly width: number
}

export class ChannelObserver implements GraphInterceptor {
  private readonly config: QwenTextConfig
  private readonly byValue = new Map<Value, Watched>()

  private readonly isTiled: boolean

  /** `isTiled`: values are f32 [tiles, rows, channels], and every tile is reported by itself, as slot. */
  constructor(config: QwenTextConfig, isTiled = false) {
    this.config = config
    this.isTiled = isTiled
  }

  onLinear(_graph: GraphBuilder, operands: LinearOperands): LinearOperands {
    this.watch(operands.input, operands.site, operands.slot)
    return operands
  }

  /** lm_head reads what the final norm shows; keys and values of the cache are inputs of no linear. */
  onTap(_graph: GraphBuilder, value: Value, site: string): Value {
    if (site === HEAD_SITE) this.watch(value, site, 0)
    return value
  }

  /** To be called when the graph is complete. */
  finish(graph: GraphBuilder): void {
    const magnitudes = [...this.byValue.keys()].map((value) => graph.node('Abs', [value]))
    if (magnitudes.length === 0) return
    for (const [output, operator] of [
      [AMAX_OUTPUT, 'ReduceMax'],
      [SUM_OUTPUT, 'ReduceSum'],
    ] as const) {
      const overRows = magnitudes.map((value) =>
        graph.node(operator, [value, graph.shape([this.isTiled ? 1 : 0])], { attributes: { keepdims: 0 } }),
      )
      graph.output(output, graph.node('Concat', overRows, { attributes: { axis: -1 } }))
    }
  }

  /** Takes the outputs of a run apart. */
  report(
    results: ReadonlyMap<string, GraphTensor>,
    sink: (site: string, slot: number, channels: ChannelReport) => void,
  ): void {
    if (this.byValue.size === 0) return
    const amax = results.get(AMAX_OUTPUT)
    const sumAbs = results.get(SUM_OUTPUT)
    invariant(amax?.dtype === 'float32' && sumAbs?.dtype === 'float32', 'the graph returned no channels')
    const widths = [...this.byValue.values()].reduce((sum, { width }) => sum + width, 0)
    for (let tile = 0; tile * widths < amax.data.length; tile += 1) {
      let first = tile * widths
      for (const { sites, slot, width } of this.byValue.values()) {
        const channels = {
          amax: amax.data.subarray(first, first + width),
          sumAbs: sumAbs.data.subarray(first, first + width),
        }
        for (const site of sites) sink(site, this.isTiled ? tile : slot, channels)
        first += width
      }
    }
  }

  private watch(value: Value, site: string, slot: number): void {
    const present = this.byValue.get(value)
    if (present !== undefined) present.sites.push(site)
    else this.byValue.set(value, { sites: [site], slot, width: inputWidth(this.config, site) })
  }
}

/** Input channels of the linear at a site. */
export function inputWidth(config: QwenTextConfig, site: string): number {
  switch (site) {
    case DOWN_SITE:
      return config.expertWidth
    case 'mlp.shared_expert.down_proj':
      return config.sharedExpertWidth
    case 'self_attn.o_proj':
      return config.headCount * config.headDim
    case 'linear_attn.out_proj':
      return config.linearValueHeadCount * config.linearValueHeadDim
    default:
      return config.hiddenSize
  }
}
