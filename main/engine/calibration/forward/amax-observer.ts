/**
 * Watches what flows into every linear and into the cache: adds an output with the largest magnitude of each row. One instance per graph;
 * linears that read the same tensor share one output.
 */
import type { GraphBuilder, GraphInterceptor, LinearOperands, Value } from '../../onnx/graph-builder.ts'
import { propagatingMaximum } from '../../tensor/row-math.ts'
import type { GraphTensor } from '../../onnx/graph-runtime.ts'

export interface Observation {
  /** Graph output with the maxima, f32 [rows]. */
  readonly output: string
  readonly sites: readonly string[]
  readonly slot: number
}

export interface ObserverOptions {
  /** Sites whose maxima are known from elsewhere. Default: none. */
  readonly ignoredSites?: ReadonlySet<string>
}

export class AmaxObserver implements GraphInterceptor {
  private readonly byValue = new Map<Value, { output: string; sites: string[]; slot: number }>()
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

  private observe(graph: GraphBuilder, value: Value, site: string, slot: number): void {
    if (this.options.ignoredSites?.has(site) === true) return
    const present = this.byValue.get(value)
    if (present !== undefined) {
      present.sites.push(site)
      return
    }
    const output = `amax.${String(this.byValue.size)}`
    // The last axis only: a reduction to a scalar runs on a single GPU thread, and the host finds a NaN that a device maximum may drop.
    const maxima = graph.node('ReduceMax', [graph.node('Abs', [value]), graph.shape([-1])], {
      attributes: { keepdims: 0 },
    })
    graph.output(output, graph.node('Reshape', [maxima, graph.shape([-1])]))
    this.byValue.set(value, { output, sites: [site], slot })
  }
}

/** Largest of the row maxima a run returned; NaN when any is NaN, 0 for no rows. */
export function observedAmax(results: ReadonlyMap<string, GraphTensor>, output: string): number {
  const tensor = results.get(output)
  return tensor?.dtype === 'float32' ? propagatingMaximum(tensor.data) : 0
}
