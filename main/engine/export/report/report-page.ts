/**
 * `report.html`: the report of an export as one file without scripts or references, for people who do not have this program. Pure; every text
 * is escaped, and the page forbids itself to load anything.
 */
import type { ExportReport } from '../../../../shared/domain/export-report.ts'
import { formatBytes, formatNumber } from '../../../../shared/domain/format-text.ts'
import type { QualityFinding } from '../../../../shared/domain/job.ts'
import { coverageSection } from './coverage-section.ts'
import { html, Markup } from './markup.ts'
import { PAGE_STYLE } from './page-style.ts'
import { qualitySections } from './quality-section.ts'
import { smoothingSection } from './smoothing-section.ts'
import { verificationSection } from './verification-section.ts'

const MAX_FINDINGS = 200
/** The style is in the file; nothing else may be loaded or run. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'"

/** The whole file. For 60 layers x 512 experts with all maps well below 2 MB. */
export function reportPage(report: ExportReport): string {
  const { source, export: made } = report
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${made.name}</title>
        <style>
          ${new Markup(PAGE_STYLE)}
        </style>
      </head>
      <body>
        <main>
          <h1>${made.name}</h1>
          <p class="lead">${made.recipe} of ${source.name}, ${made.profile}, ${made.dialect}</p>
          ${verdict(report)} ${facts(report)} ${sizes(report)} ${coverageSection(report)}
          ${smoothingSection(report)} ${qualitySections(report)} ${verificationSection(report)}
          ${findings('Findings', report.findings)} ${findings('Repairs', report.repairs)} ${commands(report)}
          <p class="lead">${report.producer.name} ${report.producer.version}, report ${report.schema}</p>
        </main>
      </body>
    </html> `.text
}

function verdict({ verification, findings: found, calibration }: ExportReport): Markup {
  const uncovered = calibration.uncoveredExperts.length
  if (verification?.isSound === false) return html`<p class="verdict bad">Verification found broken rules</p>`
  if (found.length > 0) return html`<p class="verdict warn">Complete, ${found.length} finding(s)</p>`
  if (uncovered > 0) return html`<p class="verdict warn">Complete, ${uncovered} expert(s) without a token</p>`
  return html`<p class="verdict good">Complete</p>`
}

function facts({ source, export: made, calibration }: ExportReport): Markup {
  const number = (value: number): string => formatNumber(value, 0, 'en')
  const entries: readonly (readonly [string, string])[] = [
    ['Architecture', source.architecture],
    ['Layers', number(source.layerCount)],
    ['Experts per layer', `${number(source.expertCount)}, ${number(source.topK)} active`],
    ['Tensors', `${number(made.tensorCount)}, ${number(made.quantizedTensorCount)} quantized`],
    ['KV cache', made.kvCache],
    ['Calibration', calibration.tokenCount === 0 ? 'no data' : `${number(calibration.tokenCount)} tokens`],
    ['Device', calibration.device],
  ]
  return html`<section>
    <dl>
      ${entries.map(
        ([name, value]) =>
          html`<div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>`,
      )}
    </dl>
  </section>`
}

function sizes({ source, export: made }: ExportReport): Markup {
  const most = Math.max(source.sizeBytes, made.sizeBytes, 1)
  const bar = (name: string, sizeBytes: number, kind: string): Markup =>
    html`<tr>
      <td>${name}</td>
      <td width="70%">
        <svg aria-hidden="true" viewBox="0 0 1000 10" height="14" preserveAspectRatio="none">
          <rect class="${kind}" width="${Math.round((1000 * sizeBytes) / most)}" height="10" />
        </svg>
      </td>
      <td class="n">${formatBytes(sizeBytes, 'en')}</td>
    </tr>`
  const formats = made.byFormat.map(
    ({ format, tensorCount, sourceBytes, outputBytes }) =>
      html`<tr>
        <td>${format}</td>
        <td class="n">${formatNumber(tensorCount, 0, 'en')}</td>
        <td class="n">${formatBytes(sourceBytes, 'en')}</td>
        <td class="n">${formatBytes(outputBytes, 'en')}</td>
      </tr>`,
  )
  return html`<section>
    <h2>Size: ${formatNumber(made.bitsPerWeight, 2, 'en')} bits per weight</h2>
    <table>
      ${bar('before', source.sizeBytes, 'rest')} ${bar('after', made.sizeBytes, 'bar')}
    </table>
    <table>
      <tr>
        <th>Format</th>
        <th class="n">Matrices</th>
        <th class="n">Before</th>
        <th class="n">After</th>
      </tr>
      ${formats}
    </table>
  </section>`
}

function findings(title: string, list: readonly QualityFinding[]): Markup | undefined {
  if (list.length === 0) return undefined
  const rows = list.slice(0, MAX_FINDINGS).map(
    ({ code, subject, message }) =>
      html`<tr>
        <td>${code}</td>
        <td><code>${subject}</code></td>
        <td>${message}</td>
      </tr>`,
  )
  const rest = list.length - rows.length
  return html`<section>
    <h2>${title}</h2>
    <div class="scroll">
      <table>
        ${rows}
      </table>
    </div>
    ${rest > 0 ? html`<p class="muted">and ${formatNumber(rest, 0, 'en')} more</p>` : undefined}
  </section>`
}

function commands({ serveCommands }: ExportReport): Markup | undefined {
  if (serveCommands.length === 0) return undefined
  return html`<section>
    <h2>Serve it</h2>
    ${serveCommands.map(
      ({ engine, command }) =>
        html`<p>${engine}</p>
          <pre>${command}</pre>`,
    )}
  </section>`
}
