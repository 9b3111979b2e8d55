/** Layers x experts as an SVG of about eight bytes a cell: one stroked path for each step of the colour scale. */
import type { ExpertRows } from '../../../../shared/domain/expert-rows.ts'
import { html, type Markup } from './markup.ts'

/** Classes `s0` to `s15` of the page's style. */
export const MAP_STEPS = 16

export interface MapOptions {
  readonly rows: ExpertRows
  readonly columnCount: number
  /** Value of the last step; 0 and less draw everything as zero. */
  readonly maximum: number
  readonly scale: 'log' | 'linear'
  readonly label: string
}

/** Columns grow with the page, rows have a fixed height. Zero has a class of its own (`z`), what was not measured is background. */
export function mapSvg({ rows, columnCount, maximum, scale, label }: MapOptions): Markup {
  const paths = new Map<string, PathText>()
  rows.forEach((row, y) => {
    for (let x = 0; x < columnCount; x += 1) {
      const value = row?.[x]
      if (typeof value !== 'number' || Number.isNaN(value)) continue
      const step = stepOf(value, maximum, scale)
      let path = paths.get(step)
      if (path === undefined) paths.set(step, (path = new PathText()))
      path.add(x, y)
    }
  })
  const drawn = [...paths].map(([step, path]) => html`<path class="${step}" d="${path.finish()}" />`)
  const height = Math.max(8, Math.min(24, Math.floor(420 / Math.max(1, rows.length)))) * rows.length
  return html`<svg
    class="map"
    role="img"
    aria-label="${label}"
    viewBox="0 0 ${columnCount} ${rows.length}"
    height="${height}"
    preserveAspectRatio="none"
    shape-rendering="crispEdges"
  >
    <g transform="translate(0 .5)" fill="none" stroke-width="1">${drawn}</g>
  </svg>`
}

function stepOf(value: number, maximum: number, scale: 'log' | 'linear'): string {
  if (value <= 0 || maximum <= 0) return 'z'
  const share = scale === 'log' ? Math.log1p(value) / Math.log1p(maximum) : value / maximum
  return `s${String(Math.min(MAP_STEPS - 1, Math.floor(share * MAP_STEPS)))}`
}

/** Horizontal strokes with relative moves; neighbours become one stroke. */
class PathText {
  private text = ''
  private penX = 0
  private penY = 0
  private startX = -1
  private length = 0
  private row = 0

  add(x: number, y: number): void {
    if (this.length > 0 && y === this.row && x === this.startX + this.length) {
      this.length += 1
      return
    }
    this.flush()
    this.startX = x
    this.row = y
    this.length = 1
  }

  finish(): string {
    this.flush()
    return this.text
  }

  private flush(): void {
    if (this.length === 0) return
    this.text += `m${String(this.startX - this.penX)} ${String(this.row - this.penY)}h${String(this.length)}`
    this.penX = this.startX + this.length
    this.penY = this.row
    this.length = 0
  }
}
