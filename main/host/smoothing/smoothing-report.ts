/** What a run's smoothing vectors are expected to gain, for its report. */
import type { SmoothedChannels, SmoothingReport } from '../../../shared/domain/smoothing-report.ts'
import type { PlannedSmoothing } from '../../engine/pipeline/export-plan.ts'
import type { SmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'

/** undefined for a recipe that rescales nothing. */
export function smoothingReport(
  planned: PlannedSmoothing | undefined,
  record: SmoothingRecord | undefined,
): SmoothingReport | undefined {
  if (planned === undefined || record === undefined) return undefined
  const channels = planned.groups.map(({ key, layerIndex }): SmoothedChannels => {
    const estimates = record.estimates.get(key) ?? []
    const alphas = estimates.flatMap(({ alpha }) => (Number.isNaN(alpha) ? [] : [alpha]))
    const known = estimates.filter(({ errorWithout }) => errorWithout > 0)
    const mean = (of: (estimate: (typeof known)[number]) => number): number =>
      known.length === 0 ? 0 : known.reduce((sum, estimate) => sum + of(estimate), 0) / known.length
    return {
      layerIndex,
      name: key.replace(/^.*\.layers\.\d+\./, ''),
      vectorCount: estimates.length,
      scaledCount: alphas.length,
      ...(alphas.length === 0 ? {} : { alpha: [Math.min(...alphas), Math.max(...alphas)] }),
      errorWithout: mean(({ errorWithout }) => errorWithout),
      errorWith: mean(({ errorWith }) => errorWith),
    }
  })
  return { method: planned.method.kind, leftAlone: planned.leftAlone, channels }
}
