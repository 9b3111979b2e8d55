/** A map with its axis and the legend of its colours. */
import { html, type Markup } from './markup.ts'
import { MAP_STEPS, mapSvg, type MapOptions } from './map-svg.ts'

export interface LegendOptions extends MapOptions {
  /** Ends of the scale, as text. */
  readonly least: string
  readonly most: string
  readonly zeroLabel: string
}

export function mapWithLegend(options: LegendOptions): Markup {
  const steps = Array.from(
    { length: MAP_STEPS },
    (_, step) => html`<path class="s${step}" stroke-width="1" d="m${step} .5h1" />`,
  )
  const last = options.columnCount - 1
  return html`${mapSvg(options)}
    <p class="axis">
      <span>expert 0</span><span>layers 0 to ${options.rows.length - 1} from top to bottom</span
      ><span>expert ${last}</span>
    </p>
    <p class="legend">
      <span>${options.least}</span>
      <svg aria-hidden="true" viewBox="0 0 ${MAP_STEPS} 1" height="10" preserveAspectRatio="none">
        ${steps}
      </svg>
      <span>${options.most}${options.scale === 'log' ? ', logarithmic' : ''}</span>
      <span class="key z"></span><span>${options.zeroLabel}</span> <span class="key u"></span
      ><span>not measured</span>
    </p>`
}
