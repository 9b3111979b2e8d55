/**
 * Cuts the weights of a model into units of reading. The units of a layer cover every tensor of the layer exactly once: mixer, everything
 * of the MoE block but its experts, then the experts in groups of bounded size.
 */
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ExportItem, MoeModel } from '../models/moe-model.ts'
import type { WeightUnit } from './weight-reader.ts'

/** A unit whose slices have names relative to the layer (`linear_attn.A_log`), parallel to `unit.slices`. */
export interface NamedUnit {
  readonly unit: WeightUnit
  readonly names: readonly string[]
}

/** gate, up and down of consecutive experts, in this order. */
export interface ExpertUnit {
  readonly unit: WeightUnit
  readonly firstExpert: number
  readonly expertCount: number
}

export interface LayerUnits {
  readonly mixer: NamedUnit
  readonly moeFront: NamedUnit
  readonly experts: readonly ExpertUnit[]
}

/** Units of one decoder layer; expert groups hold at most `maxUnitBytes` of source, but at least one expert. */
export function layerUnits(model: MoeModel, layerIndex: number, maxUnitBytes: number): LayerUnits {
  const prefix = `${model.prefix}.layers.${String(layerIndex)}.`
  const mixer: [string, TensorSlice][] = []
  const front: [string, TensorSlice][] = []
  let experts: readonly ExpertUnit[] = []
  for (const item of model.exportOrder) {
    if (item.layerIndex !== layerIndex) continue
    if (item.kind === 'experts') experts = expertUnits(item, maxUnitBytes)
    else if (item.kind !== 'kv_cache') {
      invariant(item.source.name.startsWith(prefix), `${item.source.name} is not a tensor of ${prefix}`)
      const name = item.source.name.slice(prefix.length)
      const isMixer = /^(self_attn|linear_attn|input_layernorm)\./.test(name)
      const group = isMixer ? mixer : front
      group.push([name, item.source])
    }
  }
  const named = (label: string, entries: readonly [string, TensorSlice][]): NamedUnit => ({
    names: entries.map(([name]) => name),
    unit: {
      layerIndex,
      label: `layer ${String(layerIndex)}: ${label}`,
      slices: entries.map(([, slice]) => slice),
    },
  })
  return { mixer: named('mixer', mixer), moeFront: named('router and shared expert', front), experts }
}

function expertUnits(
  { experts, layerIndex }: Extract<ExportItem, { kind: 'experts' }>,
  maxUnitBytes: number,
): readonly ExpertUnit[] {
  const first = experts[0]
  const expertBytes =
    first === undefined ? 1 : first.gate.sizeBytes + first.up.sizeBytes + first.down.sizeBytes
  const perUnit = Math.max(1, Math.floor(maxUnitBytes / expertBytes))
  const units: ExpertUnit[] = []
  for (let firstExpert = 0; firstExpert < experts.length; firstExpert += perUnit) {
    const group = experts.slice(firstExpert, firstExpert + perUnit)
    const label = `layer ${String(layerIndex)}: experts ${String(firstExpert)} to ${String(firstExpert + group.length - 1)}`
    const slices = group.flatMap(({ gate, up, down }) => [gate, up, down])
    units.push({ unit: { layerIndex, label, slices }, firstExpert, expertCount: group.length })
  }
  return units
}

/** Embedding matrix [V, H], final norm [H] and vocabulary projection [V, H] (the embedding itself when tied). */
export function globalSlices(model: MoeModel): {
  readonly embedding: TensorSlice
  readonly norm: TensorSlice
  readonly head: TensorSlice
} {
  const find = (role: 'embedding' | 'norm' | 'lm_head'): TensorSlice | undefined => {
    for (const item of model.exportOrder) {
      const isGlobal = item.kind === 'tensor' || item.kind === 'linear'
      if (isGlobal && item.role === role && item.layerIndex === undefined) return item.source
    }
    return undefined
  }
  const embedding = find('embedding')
  const norm = find('norm')
  if (embedding === undefined || norm === undefined) {
    throw new AppError('TENSOR_MISSING', {
      subject: `${model.prefix}.${embedding === undefined ? 'embed_tokens' : 'norm'}.weight`,
      problem: 'the checkpoint does not have this tensor',
      remedy: 'get a complete copy of the checkpoint',
    })
  }
  return { embedding, norm, head: find('lm_head') ?? embedding }
}

/** Rows `firstRow..firstRow+rowCount` of a [rows, cols] tensor. */
export function rowSlice(tensor: TensorSlice, firstRow: number, rowCount: number): TensorSlice {
  const [rows = 1, cols = 1] = tensor.shape
  const rowBytes = tensor.sizeBytes / rows
  return {
    ...tensor,
    shape: [rowCount, cols],
    offsetBytes: tensor.offsetBytes + firstRow * rowBytes,
    sizeBytes: rowCount * rowBytes,
  }
}
