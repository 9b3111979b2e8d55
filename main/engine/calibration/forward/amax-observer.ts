/**
 * Watches what flows into every linear and into the cache: adds an output with the largest magnitude of each row. One instance per graph;
 * linears that read the same tensor share one output.
 */
import type { GraphBuilder, GraphInterceptor, LinearOperands, Value } from '../../onnx/graph-builder.ts'
import { propagatingMaximum } from '../../tensor/row-math.ts'
import type { GraphTensor } from '../../onnx/graph-runtime.ts'

export interface Observation {
  /** Graph output with the maxima, f32 of any shape. */
  readonly output: string
  readonly sites: readonly string[]
  readonly slot: number
}

export interface ObserverOptions {
  /** Sites whose maxima are known from elsewhere. Default: none. */
  readonly ignoredSites?: ReadonlySet<string>
  /** One output `amax`, f32 [all rows], observation after observation, instead of one each: fewer small reads from a device. Default: false. */
  readonly isMerged?: boolean
}

const MERGED_OUTPUT = 'amax'

export class AmaxObserver implements GraphInterceptor {
  private readonly byValue = new Map<Value, { output: string; sites: string[]; slot: number }>()
  private readonly merged: Value[] = []
  private readonly options: ObserverOptions

  constructor(options: ObserverOptions = {}) {
    this.options = options
  }

  get observations(): readonly Observation[] {
    return [...this.byValue.values()]
  }

  onLinear(graph: GraphBuilder, operands: LinearOperands): LinearOperands {
    this.observe(graph, operands.input, operands.site, operands.slot)
    return operands
  }

  onTap(graph: GraphBuilder, value: Value, site: string): Value {
    this.observe(graph, value, site, 0)
    return value
  }

  /** To be called when the graph is complete. */
  finish(graph: GraphBuilder): void {
    if (this.merged.length === 0) return
    graph.output(MERGED_OUTPUT, graph.node('Concat', this.merged, { attributes: { axis: 0 } }))
  }

  private observe(graph: GraphBuilder, value: Value, site: string, slot: number): void {
    const { ignoredSites, isMerged = false } = this.options
    if (ignoredSites?.has(site) === true) return
    const present = this.byValue.get(value)
    if (present !== undefined) {
      present.sites.push(site)
      return
    }
    const output = isMerged ? MERGED_OUTPUT : `amax.${String(this.byValue.size)}`
    // The last axis only: a reduction to a scalar runs on a single GPU thread, and the host finds a NaN that a device maximum may drop.
    const maxima = graph.node('ReduceMax', [graph.node('Abs', [value]), graph.shape([-1])], {
      attributes: { keepdims: 0 },
    })
    if (isMerged) this.merged.push(graph.node('Reshape', [maxima, graph.shape([-1])]))
    else graph.output(output, maxima)
    this.byValue.set(value, { output, sites: [site], slot })
  }
}

/** Largest of the row maxima a run returned; NaN when any is NaN, 0 for no rows. */
export function observedAmax(results: ReadonlyMap<string, GraphTensor>, output: string): number {
  const tensor = results.get(output)
  return tensor?.dtype === 'float32' ? propagatingMaximum(tensor.data) : 0
}
