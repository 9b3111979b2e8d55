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

export class AmaxObserver implements GraphInterceptor {
  private readonly byValue = new Map<Value, { output: string; sites: string[]; slot: number }>()

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
    graph.output(output, maxima)
    this.byValue.set(value, { output, sites: [site], slot })
  }
}

/** Largest of the row maxima a run returned; NaN when any is NaN, 0 for no rows. */
export function observedAmax(results: ReadonlyMap<string, GraphTensor>, output: string): number {
  const tensor = results.get(output)
  return tensor?.dtype === 'float32' ? propagatingMaximum(tensor.data) : 0
}
