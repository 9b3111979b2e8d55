/** What rescaling input channels was expected to gain: one row for each set of channels. */
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import { formatNumber } from '../../../../shared/domain/format-text.ts'
import type { SmoothedChannels } from '../../../../shared/domain/smoothing-report.ts'
import { html, type Markup } from './markup.ts'

const percent = (share: number): string => `${formatNumber(100 * share, 2, 'en')} %`

export function smoothingSection({ smoothing }: ExportReport): Markup | undefined {
  if (smoothing === undefined) return undefined
  const { method, leftAlone, channels } = smoothing
  const alone = leftAlone.length === 0 ? undefined : html`<p>Inputs left alone: ${leftAlone.join(', ')}.</p>`
  return html`<section>
    <h2>Rescaled input channels: ${method}</h2>
    ${alone}
    <div class="scroll">
      <table>
        <tr>
          <th class="n">Layer</th>
          <th>Divided in</th>
          <th class="n">Vectors scaled</th>
          <th class="n">Exponent</th>
          <th class="n">Error without</th>
          <th class="n">Error with</th>
        </tr>
        ${channels.map(row)}
      </table>
    </div>
    <p class="muted">
      Estimated from the magnitudes of channels, for each linear by itself. What the export lost as a whole is
      measured by eval.
    </p>
  </section>`
}

function row(channels: SmoothedChannels): Markup {
  const { layerIndex, name, scaledCount, vectorCount, alpha, errorWithout, errorWith } = channels
  const [smallest, largest] = alpha?.map((value) => formatNumber(value, 2, 'en')) ?? ['–', '–']
  return html`<tr>
    <td class="n">${layerIndex}</td>
    <td><code>${name}</code></td>
    <td class="n">${scaledCount} of ${vectorCount}</td>
    <td class="n">${smallest === largest ? smallest : `${smallest ?? ''} – ${largest ?? ''}`}</td>
    <td class="n">${percent(errorWithout)}</td>
    <td class="n">${percent(errorWith)}</td>
  </tr>`
}
