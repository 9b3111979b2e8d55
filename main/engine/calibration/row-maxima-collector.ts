/**
 * Percentiles of the largest magnitude of a row, by quantizer: what an amax becomes when the few tokens with the largest values may be clipped.
 * Nearest rank: the smallest value that at least `percentile` % of the rows do not exceed, so that 100 is the maximum and an expert with few
 * rows keeps its own. Rows are taken whole, because their maxima are what comes back from any device; histogram calibrators (TensorRT's,
 * ModelOpt's `histogram.py`) take single elements, of which far more than 1 in a thousand belong to one clipped row.
 */
import type { CalibrationStats } from './stats.ts'

export class RowMaximaCollector {
  private readonly byQuantizer = new Map<string, Map<number, Float32Array[]>>()

  /** `index` = which expert, 0 for a linear. */
  add(quantizer: string, index: number, rowMaxima: Float32Array): void {
    const copies = this.byQuantizer.get(quantizer) ?? new Map<number, Float32Array[]>()
    this.byQuantizer.set(quantizer, copies)
    const parts = copies.get(index) ?? []
    copies.set(index, parts)
    parts.push(rowMaxima.slice())
  }

  /** f32 by quantizer, as long as its amax; 0 where no row came. A NaN among the rows stays NaN. Above 0 and at most 100. */
  finish(percentile: number, lengthOf: (quantizer: string) => number): ReadonlyMap<string, Float32Array> {
    return new Map(
      [...this.byQuantizer].map(([quantizer, copies]) => {
        const values = new Float32Array(lengthOf(quantizer))
        for (const [index, parts] of copies) values[index] = percentileOf(parts, percentile)
        return [quantizer, values]
      }),
    )
  }
}

function percentileOf(parts: readonly Float32Array[], percentile: number): number {
  const rows = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let filled = 0
  for (const part of parts) {
    rows.set(part, filled)
    filled += part.length
  }
  rows.sort() // numerically, NaN last
  if (Number.isNaN(rows.at(-1))) return Number.NaN
  return rows[nearestRank(rows.length, percentile)] ?? 0
}

/** 0-based place of the percentile among `count` sorted values. */
export function nearestRank(count: number, percentile: number): number {
  // 99.9 % of 1000 is 999.0000000000001 in binary; a millionth of a rank is no rank.
  return Math.max(0, Math.ceil((percentile * count) / 100 - 1e-6) - 1)
}

/** What stands in for the amax of every quantizer: its percentile, or the amax itself when no percentile is asked for. */
export function amaxAt(
  { amax, percentiles }: Pick<CalibrationStats, 'amax' | 'percentiles'>,
  percentile: number | undefined,
): ReadonlyMap<string, Float32Array> {
  if (percentile === undefined) return amax
  const suffix = percentileName('', percentile)
  return new Map(
    [...percentiles].flatMap(([name, values]) =>
      name.endsWith(suffix) ? [[name.slice(0, -suffix.length), values] as const] : [],
    ),
  )
}

/** Name of the statistic in stats and dumps. */
export function percentileName(quantizer: string, percentile: number): string {
  return `${quantizer}.percentile_${String(percentile)}`
}
