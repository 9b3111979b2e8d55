/** A repair as text for a terminal: what was changed, what still is wrong. */
import { formatNumber } from '../../../shared/domain/format-text.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { printable } from '../verify/verify-text.ts'
import type { Repair } from './repair.ts'

/** Repairs of one rule that are shown; the rest is counted. */
const SHOWN_PER_RULE = 5

export function doctorText(
  displayPath: string | undefined,
  repairs: readonly Repair[],
  verification: VerifyReport,
): string {
  const remaining = verification.rules.filter(
    ({ severity, state }) => severity === 'error' && state === 'broken',
  )
  const verdict =
    remaining.length === 0
      ? displayPath === undefined
        ? 'sound: there is nothing to repair, nothing was written'
        : 'sound: the repaired export verifies'
      : displayPath === undefined
        ? 'NOT SOUND, and nothing of it can be repaired; nothing was written'
        : `NOT SOUND: ${String(remaining.length)} rule(s) still broken`
  return [
    displayPath ?? verification.displayPath,
    `  ${verdict}`,
    ...repaired(repairs),
    ...remaining.flatMap(({ id, findingCount, title }) => [
      '',
      `  not repaired ${id} (${formatNumber(findingCount, 0, 'en')}): ${title}`,
      ...verification.findings
        .filter(({ rule }) => rule === id)
        .slice(0, SHOWN_PER_RULE)
        .map(({ subject, message }) => `    ${printable(subject)}: ${printable(message)}`),
    ]),
  ].join('\n')
}

function repaired(repairs: readonly Repair[]): readonly string[] {
  const byRule = new Map<string, Repair[]>()
  for (const repair of repairs) {
    const list = byRule.get(repair.rule) ?? []
    if (list.length === 0) byRule.set(repair.rule, list)
    list.push(repair)
  }
  return [...byRule].flatMap(([rule, list]) => {
    const errors = list.flatMap(({ relativeError }) => (relativeError === undefined ? [] : [relativeError]))
    const largest = errors.reduce((most, error) => Math.max(most, error), 0)
    const rest = list.length - Math.min(list.length, SHOWN_PER_RULE)
    return [
      '',
      `  repaired ${rule} (${formatNumber(list.length, 0, 'en')})${largest > 0 ? `; largest relative change of weights ${largest.toPrecision(3)}` : ''}`,
      ...list.slice(0, SHOWN_PER_RULE).map(repairLine),
      ...(rest > 0 ? [`    and ${formatNumber(rest, 0, 'en')} more (--json lists all)`] : []),
    ]
  })
}

function repairLine({ subject, action, before, after, relativeError }: Repair): string {
  const error =
    relativeError === undefined
      ? '; error only measurable against the source'
      : relativeError > 0
        ? `; relative change ${relativeError.toPrecision(3)}`
        : ''
  return `    ${printable(subject)}: ${printable(before)} -> ${printable(after)} (${action}${error})`
}
