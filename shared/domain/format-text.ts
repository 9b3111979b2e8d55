/** Numbers as text for people. Pure; `locale` undefined means the environment's. */

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

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
  return value.toLocaleString(locale, { maximumFractionDigits })
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

/** [2, 3] -> "[2, 3]"; a scalar -> "[]". */
export function formatShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`
}
