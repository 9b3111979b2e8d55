/** What verification found: verdict, broken rules, engines, errors against the source. */
import type { ExportReport, VerifyOutcome } from '../../../../shared/domain/export-report.ts'
import { formatNumber } from '../../../../shared/domain/format-text.ts'
import { html, type Markup } from './markup.ts'

const SCOPES = {
  headers: 'names, shapes, formats and configuration',
  values: 'names, shapes, formats, configuration and every stored value',
  source: 'everything, every value compared with the source',
} as const

const MAX_FINDINGS = 200

export function verificationSection({ verification }: ExportReport): Markup {
  if (verification === undefined) {
    return html`<section>
      <h2>Verification</h2>
      <p class="muted">Not verified.</p>
    </section>`
  }
  const count = (state: string): number => verification.rules.filter((rule) => rule.state === state).length
  return html`<section>
      <h2>Verification</h2>
      <p class="verdict ${verification.isSound ? 'good' : 'bad'}">
        ${verification.isSound ? 'Sound: no rule is broken' : 'Not sound'}
      </p>
      <p class="muted">
        Checked: ${SCOPES[verification.scope]}. ${count('passed')} rules passed, ${count('broken')} with
        findings, ${count('skipped')} not applicable.
      </p>
      ${findings(verification)} ${errors(verification)}
    </section>
    <section>
      <h2>Engines</h2>
      <table>
        <tr>
          <th>Engine</th>
          <th>Verdict</th>
          <th>Reason</th>
        </tr>
        ${verification.engines.map(
          ({ engine, verdict, reason }) =>
            html`<tr>
              <td>${engine}</td>
              <td>${verdict}</td>
              <td>${reason}</td>
            </tr>`,
        )}
      </table>
      <p class="muted">Read in the engines' sources; no engine was run.</p>
    </section>`
}

function findings({ findings: all }: VerifyOutcome): Markup | undefined {
  if (all.length === 0) return undefined
  const rows = all.slice(0, MAX_FINDINGS).map(
    ({ severity, rule, subject, message }) =>
      html`<tr>
        <td>${severity}</td>
        <td>${rule}</td>
        <td><code>${subject}</code></td>
        <td>${message}</td>
      </tr>`,
  )
  return html`<div class="scroll">
    <table>
      <tr>
        <th>Severity</th>
        <th>Rule</th>
        <th>Subject</th>
        <th>Finding</th>
      </tr>
      ${rows}
    </table>
  </div>`
}

function errors({ errors: all }: VerifyOutcome): Markup | undefined {
  if (all.length === 0) return undefined
  const rows = all.map(
    ({ format, matrixCount, relativeError, largestShareOfBound, bound }) =>
      html`<tr>
        <td>${format}</td>
        <td class="n">${formatNumber(matrixCount, 0, 'en')}</td>
        <td class="n">${relativeError.toPrecision(3)}</td>
        <td class="n">${formatNumber(100 * largestShareOfBound, 0, 'en')} %</td>
        <td>${bound}</td>
      </tr>`,
  )
  return html`<table>
    <tr>
      <th>Format</th>
      <th class="n">Matrices</th>
      <th class="n">Relative error</th>
      <th class="n">Largest share of the bound</th>
      <th>Bound</th>
    </tr>
    ${rows}
  </table>`
}
