/**
 * Rounds what flows into linears and into the cache as a deployed kernel would. One instance per graph; linears that read the same tensor
 * with the same scale share the rounding. Scales are graph inputs, so that one graph serves every layer that is quantized alike.
 */
import type { GraphBuilder, GraphInterceptor, LinearOperands, Value } from '../../onnx/graph-builder.ts'
import { arithmeticKey, usesStoredScale, type InputArithmetic } from '../../quant/inputs/input-arithmetic.ts'
import { roundInGraph } from './fake-quant-ops.ts'

export interface SiteRounding {
  readonly arithmetic: InputArithmetic
  /** Sites with the same name have the same stored scale. */
  readonly scaleName: string
  /** Whether inputs are multiplied by a stored vector first. */
  readonly hasPreScale: boolean
}

/** A graph input that the fake quantizer added: f32 [] scale, or f32 [in] vector. */
export interface AddedInput {
  readonly name: string
  readonly kind: 'scale' | 'pre_scale'
  readonly scaleName: string
  readonly slot: number
}

export class FakeQuantizer implements GraphInterceptor {
  private readonly roundingOf: (site: string) => SiteRounding | undefined
  private readonly added: AddedInput[] = []
  private readonly inputs = new Map<string, Value>()
  private readonly rounded = new Map<string, Value>()

  /** `roundingOf` = what happens at a site; undefined = nothing. */
  constructor(roundingOf: (site: string) => SiteRounding | undefined) {
    this.roundingOf = roundingOf
  }

  get addedInputs(): readonly AddedInput[] {
    return this.added
  }

  onLinear(graph: GraphBuilder, operands: LinearOperands): LinearOperands {
    return { ...operands, input: this.round(graph, operands.input, operands.site, operands.slot) }
  }

  onTap(graph: GraphBuilder, value: Value, site: string): Value {
    return this.round(graph, value, site, 0)
  }

  private round(graph: GraphBuilder, value: Value, site: string, slot: number): Value {
    const rounding = this.roundingOf(site)
    if (rounding === undefined) return value
    const { arithmetic, scaleName, hasPreScale } = rounding
    const isStored = usesStoredScale(arithmetic)
    const named = isStored || hasPreScale ? `${scaleName} ${String(slot)}` : ''
    const key = `${value} ${arithmeticKey(arithmetic)} ${named}`
    const present = this.rounded.get(key)
    if (present !== undefined) return present
    const input = (kind: AddedInput['kind']): Value => this.input(graph, kind, scaleName, slot)
    const scaled = hasPreScale ? graph.node('Mul', [value, input('pre_scale')]) : value
    const result = roundInGraph(graph, arithmetic, scaled, isStored ? input('scale') : undefined)
    this.rounded.set(key, result)
    return result
  }

  private input(graph: GraphBuilder, kind: AddedInput['kind'], scaleName: string, slot: number): Value {
    const name = `${scaleName}.${kind}.${String(slot)}`
    const present = this.inputs.get(name)
    if (present !== undefined) return present
    const value = graph.input(name, kind === 'scale' ? [] : [`${name}.size`])
    this.inputs.set(name, value)
    this.added.push({ name, kind, scaleName, slot })
    return value
  }
}
