/** Values to pixels, one per cell. No allocation in the loop: a 60 x 512 map is repainted ten times a second. */
import type { HeatColours } from './colour-map.ts'

/** One row of values per layer; a row or cell that is missing has not been measured. */
export type HeatRows = readonly (readonly (number | null)[] | null | undefined)[]
export type HeatScale = 'log' | 'linear'

/** Place of `value` on a scale that ends at `maximum`, 0..1. Both are counts: 0 and less give 0. */
export function scalePosition(value: number, maximum: number, scale: HeatScale): number {
  if (!(value > 0) || maximum <= 0) return 0
  const position = scale === 'log' ? Math.log1p(value) / Math.log1p(maximum) : value / maximum
  return Math.min(1, position)
}

/** Fills `pixels` [rows.length x columnCount]. Missing rows and cells (and NaN) get the unknown colour, zeros the zero colour. */
export function paintHeatmap(
  pixels: Uint32Array,
  rows: HeatRows,
  columnCount: number,
  options: {
    readonly colours: HeatColours
    readonly maximum: number
    /** Beginning of a linear scale. @default 0 */
    readonly minimum?: number
    readonly scale: HeatScale
  },
): void {
  const { colours, maximum, scale, minimum = 0 } = options
  const { ramp, zero, unknown } = colours
  const isLog = scale === 'log'
  const start = isLog ? 0 : Math.min(minimum, maximum)
  const factor = rampFactor(isLog ? Math.log1p(maximum) : maximum - start)
  for (let rowIndex = 0; rowIndex < rows.length; rowIndex += 1) {
    const row = rows[rowIndex]
    const firstPixel = rowIndex * columnCount
    for (let column = 0; column < columnCount; column += 1) {
      const value = row?.[column]
      if (typeof value !== 'number' || Number.isNaN(value)) pixels[firstPixel + column] = unknown
      else if (value <= 0) pixels[firstPixel + column] = zero
      else {
        const index = Math.min(255, (isLog ? Math.log1p(value) : Math.max(0, value - start)) * factor)
        pixels[firstPixel + column] = ramp[Math.round(index)] ?? unknown
      }
    }
  }
}

/** Steps of the ramp for a unit of a range; 0 for an empty one. */
function rampFactor(range: number): number {
  return range > 0 ? 255 / range : 0
}

/** A tick nearer than this to the end would touch its label. */
const LAST_TICK_POSITION = 0.8

/** Round numbers for a legend, from 1 (log) or 0 (linear) up to the maximum, which always is the last. */
export function legendTicks(maximum: number, scale: HeatScale): readonly number[] {
  if (maximum <= 0) return []
  if (scale === 'linear') return maximum < 10 ? [0, maximum] : [0, Math.round(maximum / 2), maximum]
  const ticks: number[] = []
  for (let tick = 1; scalePosition(tick, maximum, scale) < LAST_TICK_POSITION; tick *= 10) ticks.push(tick)
  return [...ticks, maximum]
}
