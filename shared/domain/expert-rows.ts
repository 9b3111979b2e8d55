/** Values by layer and expert: what a map's note, a table of the worst and a page need of them. Pure. */
import type { LayerQuality } from './quality-report.ts'

/** One value for each expert of each layer; null where nothing was measured, and for a whole layer that was not. */
export type ExpertRows = readonly (readonly (number | null)[] | null)[]

export interface ExpertValue {
  readonly layerIndex: number
  readonly expertIndex: number
  readonly value: number
}

export interface RowsSummary {
  /** Values that are neither null nor missing. */
  readonly count: number
  readonly least: number
  readonly most: number
  readonly zeros: number
}

/** All zeros when there is no value. */
export function summariseRows(rows: readonly (readonly (number | null)[] | null | undefined)[]): RowsSummary {
  let count = 0
  let zeros = 0
  let least = Infinity
  let most = -Infinity
  for (const row of rows) {
    for (const value of row ?? []) {
      if (typeof value !== 'number' || Number.isNaN(value)) continue
      count += 1
      if (value === 0) zeros += 1
      if (value < least) least = value
      if (value > most) most = value
    }
  }
  return count === 0 ? { count: 0, least: 0, most: 0, zeros: 0 } : { count, least, most, zeros }
}

/** The `count` largest values, largest first; equal ones in order of layer and expert. */
export function largestValues(rows: ExpertRows, count: number): readonly ExpertValue[] {
  const kept: ExpertValue[] = []
  rows.forEach((row, layerIndex) => {
    row?.forEach((value, expertIndex) => {
      if (typeof value !== 'number' || Number.isNaN(value)) return
      if (kept.length === count && value <= (kept.at(-1)?.value ?? -Infinity)) return
      const place = kept.findIndex((other) => other.value < value)
      kept.splice(place === -1 ? kept.length : place, 0, { layerIndex, expertIndex, value })
      if (kept.length > count) kept.pop()
    })
  })
  return kept
}

/** Relative errors, or cosines, by layer and expert. Layers whose experts were not compared one by one have no row. */
export function qualityRows(
  layers: readonly LayerQuality[],
  layerCount: number,
  expertCount: number,
  measure: 'relativeError' | 'cosine',
): ExpertRows {
  const rows: ((number | null)[] | null)[] = Array.from({ length: layerCount }, () => null)
  for (const { layerIndex, experts } of layers) {
    if (experts.length === 0 || layerIndex >= layerCount) continue
    const row: (number | null)[] = Array.from({ length: expertCount }, () => null)
    for (const expert of experts)
      if (expert.expertIndex < expertCount) row[expert.expertIndex] = expert[measure]
    rows[layerIndex] = row
  }
  return rows
}
