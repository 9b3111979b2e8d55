/** Log lines of a run: joining what was fetched with what arrived meanwhile, and filtering by level and text. Pure. */
import type { JobLogLine } from '../../../../shared/domain/job.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

/** More are dropped from the front; the file in the export keeps all. */
export const MAX_LOG_LINES = 5_000

/**
 * `fetched` holds the run's log up to some moment, `arrived` the lines since listening began: their overlap, the longest end of one that
 * is the beginning of the other, is taken once.
 */
export function joinLog(fetched: readonly JobLogLine[], arrived: readonly JobLogLine[]): JobLogLine[] {
  for (let overlap = Math.min(fetched.length, arrived.length); overlap > 0; overlap -= 1) {
    const start = fetched.length - overlap
    const isSame = arrived.slice(0, overlap).every((line, index) => isSameLine(line, fetched[start + index]))
    if (isSame) return [...fetched, ...arrived.slice(overlap)].slice(-MAX_LOG_LINES)
  }
  return [...fetched, ...arrived].slice(-MAX_LOG_LINES)
}

/** Lines of the level or above that contain every word of `query`, in any case and order; '' = all. */
export function filterLog(
  lines: readonly JobLogLine[],
  level: LogLevel,
  query: string,
): readonly JobLogLine[] {
  const least = LOG_LEVELS.indexOf(level)
  const words = query.toLowerCase().split(/\s+/).filter(Boolean)
  if (least <= 0 && words.length === 0) return lines
  return lines.filter((line) => {
    if (LOG_LEVELS.indexOf(line.level) < least) return false
    const message = line.message.toLowerCase()
    return words.every((word) => message.includes(word))
  })
}

export function logText(lines: readonly JobLogLine[]): string {
  return lines
    .map(
      ({ timeMs, level, message }) => `${new Date(timeMs).toISOString()} ${level.toUpperCase()} ${message}`,
    )
    .join('\n')
}

function isSameLine(a: JobLogLine, b: JobLogLine | undefined): boolean {
  return a.timeMs === b?.timeMs && a.level === b.level && a.message === b.message
}
