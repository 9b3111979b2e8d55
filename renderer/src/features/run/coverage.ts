/** Numbers about routed tokens that stand beside the map. Pure; one pass and one selection, because every snapshot asks for them. */
import type { HeatRows } from '../../charts/heatmap-pixels.ts'

export interface Coverage {
  readonly measuredLayers: number
  readonly measuredExperts: number
  readonly reachedExperts: number
  readonly least: number
  readonly median: number
  readonly most: number
}

/** Over all experts of measured layers; all zeros when there is none. The median of an even count is the lower one. */
export function summariseCoverage(rows: HeatRows): Coverage {
  const measured = rows.flatMap((row) =>
    row === undefined || row === null ? [] : [row.map((count) => count ?? 0)],
  )
  const counts = new Float64Array(measured.reduce((sum, row) => sum + row.length, 0))
  let position = 0
  let reachedExperts = 0
  let least = Infinity
  let most = 0
  for (const row of measured) {
    counts.set(row, position)
    position += row.length
    for (const count of row) {
      if (count > 0) reachedExperts += 1
      if (count < least) least = count
      if (count > most) most = count
    }
  }
  return {
    measuredLayers: measured.length,
    measuredExperts: counts.length,
    reachedExperts,
    least: counts.length === 0 ? 0 : least,
    median: selectSmallest(counts, Math.floor((counts.length - 1) / 2)),
    most,
  }
}

/** Tokens of one expert relative to what it would get if its layer were routed evenly; undefined where nothing was measured. */
export function relativeLoad(rows: HeatRows, layerIndex: number, expertIndex: number): number | undefined {
  const row = rows[layerIndex]
  const tokens = row?.[expertIndex]
  if (row === undefined || row === null || typeof tokens !== 'number') return undefined
  const total = row.reduce<number>((sum, count) => sum + (count ?? 0), 0)
  return total === 0 ? undefined : (tokens * row.length) / total
}

/** The value that would be at `rank` after sorting (Hoare's selection); reorders `values`. 0 when there are none. */
function selectSmallest(values: Float64Array, rank: number): number {
  let low = 0
  let high = values.length - 1
  while (low < high) {
    const [left, right] = partition(values, low, high)
    if (rank <= right) high = right
    else if (rank >= left) low = left
    else break
  }
  return values[rank] ?? 0
}

/** Moves what is below the middle value to the front: afterwards low..right <= pivot <= left..high, and what is between equals it. */
function partition(values: Float64Array, low: number, high: number): readonly [left: number, right: number] {
  const at = (index: number): number => values[index] ?? 0
  const pivot = at((low + high) >> 1)
  let left = low
  let right = high
  while (left <= right) {
    while (at(left) < pivot) left += 1
    while (at(right) > pivot) right -= 1
    if (left > right) break
    const swapped = at(left)
    values[left] = at(right)
    values[right] = swapped
    left += 1
    right -= 1
  }
  return [left, right]
}
