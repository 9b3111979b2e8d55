/** Scale histograms of both sides on one axis. Pure. */
import { SCALE_BINS_PER_OCTAVE, type ScaleHistogram } from '../../../../shared/domain/compare-report.ts'

export interface ScaleBars {
  readonly side: ScaleHistogram['side']
  readonly format: string
  readonly counts: readonly number[]
  readonly unusable: number
  /** Lower edge of a bin. */
  readonly edge: (index: number) => number
}

/** All histograms begin and end at the same bins, so that they can be compared by eye. */
export function alignScales(histograms: readonly ScaleHistogram[]): readonly ScaleBars[] {
  const filled = histograms.filter(({ counts }) => counts.length > 0)
  if (filled.length === 0) return []
  const first = Math.min(...filled.map(({ firstBin }) => firstBin))
  const end = Math.max(...filled.map(({ firstBin, counts }) => firstBin + counts.length))
  return filled.map(({ side, format, firstBin, counts, unusable }) => ({
    side,
    format,
    unusable,
    counts: Array.from({ length: end - first }, (_, index) => counts[index + first - firstBin] ?? 0),
    edge: (index) => 2 ** ((index + first) / SCALE_BINS_PER_OCTAVE),
  }))
}
