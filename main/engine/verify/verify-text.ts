/** A verification report as text for a terminal: verdict, what is wrong (worst first), engines, ranks, errors against the source. */
import { formatBytes, formatNumber } from '../../../shared/domain/format-text.ts'
import type { VerifyFinding, VerifyReport } from '../../../shared/domain/verify-report.ts'

/** Findings of one rule that are shown; the rest is counted. */
const SHOWN_PER_RULE = 5

export function verifyText(report: VerifyReport): string {
  return [
    ...summary(report),
    ...problems(report),
    ...engines(report),
    ...ranks(report),
    ...errors(report),
    ...rules(report),
  ].join('\n')
}

function summary(report: VerifyReport): readonly string[] {
  const { displayPath, dialect, algorithm, kvCache, tensorCount, tensorBytes } = report
  const errorRules = report.rules.filter(({ severity, state }) => severity === 'error' && state === 'broken')
  const refusing = report.engines.filter(({ verdict }) => verdict === 'fails').map(({ engine }) => engine)
  const verdict = report.isSound
    ? 'sound: no rule is broken'
    : errorRules.length > 0
      ? `NOT SOUND: ${String(errorRules.length)} rule(s) broken`
      : `NOT ACCEPTED by ${refusing.join(', ')}`
  return [
    displayPath,
    `  ${verdict}`,
    `  ${dialect}, ${algorithm}, KV cache ${kvCache}; ${formatNumber(tensorCount, 0, 'en')} tensors, ${formatBytes(tensorBytes, 'en')}`,
    `  ${formatNumber(report.quantizedMatrixCount, 0, 'en')} quantized matrices, ${formatBytes(report.actualQuantizedBytes, 'en')} of ${formatBytes(report.expectedQuantizedBytes, 'en')} expected`,
    ...(report.sourcePath === undefined
      ? ['  source not given: copies and errors of weights are not checked (--source)']
      : [
          `  compared with ${report.sourcePath}: ${formatNumber(report.comparedMatrixCount, 0, 'en')} matrices`,
        ]),
  ]
}

function problems({ findings, rules: results }: VerifyReport): readonly string[] {
  const byRule = new Map<string, VerifyFinding[]>()
  for (const finding of findings) {
    const list = byRule.get(finding.rule) ?? []
    list.push(finding)
    byRule.set(finding.rule, list)
  }
  return [...byRule].flatMap(([rule, list]) => {
    const result = results.find(({ id }) => id === rule)
    const count = result?.findingCount ?? list.length
    const rest = count - Math.min(count, SHOWN_PER_RULE)
    return [
      '',
      `  ${result?.severity ?? ''} ${rule}: ${result?.title ?? ''}`,
      ...list
        .slice(0, SHOWN_PER_RULE)
        .map(({ subject, message }) => `    ${printable(subject)}: ${printable(message)}`),
      ...(rest > 0 ? [`    and ${formatNumber(rest, 0, 'en')} more`] : []),
      `    origin: ${result?.origin ?? ''}`,
    ]
  })
}

function engines(report: VerifyReport): readonly string[] {
  const rows = report.engines.map(
    ({ engine, verdict, rule, reason }) =>
      `    ${engine.padEnd(8)}${verdict.padEnd(9)}${rule ?? ''}: ${printable(reason)}`,
  )
  return ['', '  engines (rules read in their sources, not run)', ...rows]
}

function ranks({ tensorParallel }: VerifyReport): readonly string[] {
  const rows = tensorParallel.map(({ size, isDivisible, problem, problemCount }) =>
    isDivisible
      ? `    ${String(size).padEnd(4)}divisible`
      : `    ${String(size).padEnd(4)}${String(problemCount)} module(s) not divisible, first: ${problem ?? ''}`,
  )
  return ['', '  tensor-parallel ranks', ...rows]
}

function errors(report: VerifyReport): readonly string[] {
  if (report.errors.length === 0) return []
  const rows = report.errors.map(
    ({ format, matrixCount, relativeError, largestShareOfBound, bound }) =>
      `    ${format}: ${String(matrixCount)} matrices, relative error ${relativeError.toPrecision(3)}, largest ${formatNumber(largestShareOfBound * 100, 0, 'en')} % of the bound (${bound})`,
  )
  return ['', '  error against the source', ...rows]
}

function rules({ rules: results, exportRulesVersion, engineRulesVersion }: VerifyReport): readonly string[] {
  const count = (state: string): string => String(results.filter((rule) => rule.state === state).length)
  return [
    '',
    `  ${count('passed')} rules passed, ${count('broken')} with findings, ${count('skipped')} not applicable (export rules ${String(exportRulesVersion)}, engine rules ${String(engineRulesVersion)})`,
  ]
}

/** Names come from files: no control characters reach the terminal. */
export function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
}
