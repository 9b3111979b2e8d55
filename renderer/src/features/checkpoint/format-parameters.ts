/** Parameter counts as the field writes them: 34,660,610,688 -> "34.7 B", 11,600,000 -> "11.6 M". */
import { formatNumber } from '../../../../shared/domain/format-text.ts'

const UNITS = [
  [1e12, 'T'],
  [1e9, 'B'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const

export function formatParameters(count: number, locale?: string): string {
  const unit = UNITS.find(([size]) => count >= size)
  if (unit === undefined) return formatNumber(count, 0, locale)
  const value = count / unit[0]
  return `${formatNumber(value, value >= 100 ? 0 : 1, locale)} ${unit[1]}`
}
