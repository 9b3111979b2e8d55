/** A check of a receipt as lines for a terminal. */
import { formatNumber } from '../../../shared/domain/format-text.ts'
import type { ReceiptCheck } from '../../../shared/domain/receipt-check.ts'
import { printable } from '../../engine/verify/verify-text.ts'

const SHOWN = 20

export function receiptCheckText(check: ReceiptCheck): readonly string[] {
  const { isIntact, tensorCount, fileCount, sourceRangeCount, mismatches, mismatchCount } = check
  const count = (number: number): string => formatNumber(number, 0, 'en')
  const source = sourceRangeCount === 0 ? '' : `, ${count(sourceRangeCount)} ranges of the source`
  const rest = mismatchCount - Math.min(mismatches.length, SHOWN)
  return [
    '',
    `  receipt: ${isIntact ? 'every hash agrees' : `${count(mismatchCount)} mismatch(es)`} (${count(tensorCount)} tensors, ${count(fileCount)} files${source})`,
    ...mismatches
      .slice(0, SHOWN)
      .map(({ kind, subject, message }) => `    ${kind} ${printable(subject)}: ${printable(message)}`),
    ...(rest > 0 ? [`    and ${count(rest)} more`] : []),
  ]
}
