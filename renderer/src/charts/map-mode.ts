import type { ZeroTone } from './colour-map.ts'
import type { HeatRows, HeatScale } from './heatmap-pixels.ts'

/** One thing that a map of layers x experts can show. */
export interface MapMode {
  readonly value: string
  /** On the switch. */
  readonly label: string
  /** Accessible name of the map. */
  readonly title: string
  readonly rows: HeatRows
  /** To begin with; linear maps start at their smallest value. */
  readonly scale: HeatScale
  readonly unit: string
  readonly zeroLabel: string
  /** @default alarm */
  readonly zeroTone?: ZeroTone
  readonly describe: (value: number, layerIndex: number, expertIndex: number) => string
}
