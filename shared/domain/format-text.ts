/**
 * Numbers as text for people. `locale` undefined means what `followLocale` says, which is the environment's until somebody calls it: the window
 * lets its user choose, and everything that reads a number then follows.
 */

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

let preferredLocale = (): string | undefined => undefined
const formatters = new Map<string, Intl.NumberFormat>()

/** For the window alone: `read` is asked at every formatting, so that a reactive source renders again what was formatted. */
export function followLocale(read: () => string | undefined): void {
  preferredLocale = read
}

/** 1536 -> "1.5 KiB"; whole bytes below 1 KiB; three significant digits above. */
export function formatBytes(sizeBytes: number, locale?: string): string {
  let value = sizeBytes
  let unit = 0
  while (value >= 1024 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${formatNumber(value, digits, locale)} ${BINARY_UNITS[unit] ?? 'B'}`
}

export function formatRate(bytesPerSecond: number, locale?: string): string {
  return `${formatBytes(bytesPerSecond, locale)}/s`
}

export function formatNumber(value: number, maximumFractionDigits = 0, locale?: string): string {
  const chosen = locale ?? preferredLocale()
  const key = `${chosen ?? ''} ${String(maximumFractionDigits)}`
  let formatter = formatters.get(key)
  if (formatter === undefined) {
    formatter = new Intl.NumberFormat(chosen, { maximumFractionDigits })
    formatters.set(key, formatter)
  }
  return formatter.format(value)
}

/** 75_000 ms -> "1 min 15 s"; below 10 s one decimal. */
export function formatDuration(durationMs: number, locale?: string): string {
  const seconds = durationMs / 1000
  if (seconds < 10) return `${formatNumber(seconds, 1, locale)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${formatNumber(whole, 0, locale)} s`
  if (whole < 3600)
    return `${formatNumber(Math.floor(whole / 60), 0, locale)} min ${formatNumber(whole % 60, 0, locale)} s`
  return `${formatNumber(Math.floor(whole / 3600), 0, locale)} h ${formatNumber(Math.floor((whole % 3600) / 60), 0, locale)} min`
}

/** Day and time of the day, e.g. "11/24/26, 22:57" or "24.11.26, 22:57". `timeZone` undefined means the environment's. */
export function formatMoment(timeMs: number, locale?: string, timeZone?: string): string {
  const style = { dateStyle: 'short', timeStyle: 'short', hour12: false, timeZone } as const
  return new Date(timeMs).toLocaleString(locale ?? preferredLocale(), style)
}

/** Time of the day with seconds. */
export function formatClock(timeMs: number, locale?: string): string {
  return new Date(timeMs).toLocaleTimeString(locale ?? preferredLocale(), { hour12: false })
}

/** [2, 3] -> "[2, 3]"; a scalar -> "[]". */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}
