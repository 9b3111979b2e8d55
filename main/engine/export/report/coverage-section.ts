/** How many calibration tokens reached which expert, and what happened to those that none reached. */
import { summariseRows } from '../../../../shared/domain/expert-rows.ts'
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import { formatNumber } from '../../../../shared/domain/format-text.ts'
import { groupUncovered, formatRanges } from '../../../../shared/domain/uncovered-layers.ts'
import { mapWithLegend } from './map-section.ts'
import { html, type Markup } from './markup.ts'

const number = (value: number): string => formatNumber(value, 0, 'en')

export function coverageSection({ calibration, source }: ExportReport): Markup {
  const { expertTokens, uncoveredExperts } = calibration
  const { count, least, most, zeros } = summariseRows(expertTokens)
  if (count === 0) {
    return html`<section>
      <h2>Coverage</h2>
      <p class="muted">
        No token counts: the recipe needs no calibration data, or the dump it used has none.
      </p>
    </section>`
  }
  const layers = groupUncovered(uncoveredExperts).map(
    ({ layerIndex, expertIndices, fallback }) =>
      html`<tr>
        <td class="n">${layerIndex}</td>
        <td>${formatRanges(expertIndices)}</td>
        <td>${fallback}</td>
      </tr>`,
  )
  return html`<section>
    <h2>Coverage: tokens per expert</h2>
    <p>
      ${number(count - zeros)} of ${number(count)} experts were reached; least ${number(least)}, most
      ${number(most)} tokens.
    </p>
    ${mapWithLegend({
      rows: expertTokens,
      columnCount: source.expertCount,
      maximum: most,
      scale: 'log',
      label: 'tokens routed to each expert, layers from top to bottom',
      least: '1',
      most: number(most),
      zeroLabel: 'no token',
    })}
    ${calibration.notices.map((notice) => html`<p>${notice}</p>`)}
    ${layers.length === 0 ? undefined : uncoveredTable(layers)}
  </section>`
}

function uncoveredTable(rows: readonly Markup[]): Markup {
  return html`<div class="scroll">
    <table>
      <tr>
        <th class="n">Layer</th>
        <th>Uncovered experts</th>
        <th>Scale taken from</th>
      </tr>
      ${rows}
    </table>
  </div>`
}
