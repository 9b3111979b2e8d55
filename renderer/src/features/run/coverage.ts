/** Numbers about routed tokens that stand beside the map. Pure. */
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
  const measured = rows.filter((row) => row !== undefined)
  const counts = Float64Array.from(measured.flat()).sort()
  const reachedExperts = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0)
  return {
    measuredLayers: measured.length,
    measuredExperts: counts.length,
    reachedExperts,
    least: counts[0] ?? 0,
    median: counts[Math.floor((counts.length - 1) / 2)] ?? 0,
    most: counts[counts.length - 1] ?? 0,
  }
}

/** Tokens of one expert relative to what it would get if its layer were routed evenly; undefined where nothing was measured. */
export function relativeLoad(rows: HeatRows, layerIndex: number, expertIndex: number): number | undefined {
  const row = rows[layerIndex]
  const tokens = row?.[expertIndex]
  if (row === undefined || tokens === undefined) return undefined
  const total = row.reduce((sum, count) => sum + count, 0)
  return total === 0 ? undefined : (tokens * row.length) / total
}
