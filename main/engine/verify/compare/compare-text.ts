/** A comparison as text for a terminal. */
import type { CompareReport, CountedList } from '../../../../shared/domain/compare-report.ts'
import { formatBytes, formatNumber } from '../../../../shared/domain/format-text.ts'
import { printable } from '../verify-text.ts'

const SHOWN = 10

const whole = (value: number): string => formatNumber(value, 0, 'en')
const error = (value: number): string => (value === 0 ? '0' : value.toPrecision(3))

export function compareText(report: CompareReport): string {
  const { left, right, reference, comparedCount, identicalCount } = report
  const side = (
    name: string,
    { displayPath, dialect, algorithm, tensorCount, tensorBytes }: CompareReport['left'],
  ): string =>
    `${name} ${displayPath}\n      ${dialect}, ${algorithm}; ${whole(tensorCount)} tensors, ${formatBytes(tensorBytes, 'en')}`
  return [
    side('left ', left),
    side('right', right),
    `  ${whole(comparedCount)} matrices compared, ${whole(identicalCount)} equal; relative error ${error(report.relativeError)} (of the ${reference})`,
    ...report.formatPairs.map(
      (pair) =>
        `    ${pair.left} / ${pair.right}: ${whole(pair.matrixCount)} matrices, ${whole(pair.identicalCount)} equal, relative error ${error(pair.relativeError)}`,
    ),
    ...section(
      'largest errors',
      { count: report.worst.length, items: report.worst },
      (item) =>
        `${printable(item.name)}: ${error(item.relativeError)}${item.notFinite > 0 ? `, ${whole(item.notFinite)} values not finite` : ''}`,
    ),
    ...section('only on the left', report.onlyLeft, printable),
    ...section('only on the right', report.onlyRight, printable),
    ...section('not comparable', report.notComparable, ({ name, reason }) => `${printable(name)}: ${reason}`),
    ...section('configuration', report.configs, (item) =>
      printable(`${item.fileName} ${item.path}: ${item.left ?? 'absent'} | ${item.right ?? 'absent'}`),
    ),
    ...report.files
      .filter(({ state }) => state !== 'same')
      .map(
        ({ fileName, state }) =>
          `  file ${printable(fileName)}: ${state === 'different' ? 'differs' : `only on the ${state}`}`,
      ),
  ].join('\n')
}

function section<T>(
  title: string,
  { count, items }: CountedList<T>,
  line: (item: T) => string,
): readonly string[] {
  if (count === 0) return []
  const shown = items.slice(0, SHOWN)
  const rest = count - shown.length
  return [
    `  ${title}: ${whole(count)}`,
    ...shown.map((item) => `    ${line(item)}`),
    ...(rest > 0 ? [`    and ${whole(rest)} more`] : []),
  ]
}
