/** What rescaling did, for log and report: whether it was expected to help is said either way. */
import type { PlannedSmoothing } from '../../engine/pipeline/export-plan.ts'
import { LEFT_ALONE } from '../../engine/smoothing/fold-map.ts'
import type { SmoothingRecord } from '../../engine/smoothing/smoothing-record.ts'

const NAMES = { awq_lite: 'AWQ-lite', smoothquant: 'SmoothQuant' } as const

/** Errors are those of the search: relative, of the outputs of the linears that read the channels, root mean square over the vectors. */
export function smoothingNotices(
  { method, leftAlone, rewrittenCount }: PlannedSmoothing,
  { estimates }: SmoothingRecord,
): readonly string[] {
  const name = NAMES[method.kind]
  const all = [...estimates.values()].flat()
  const changed = all.filter(({ alpha }) => !Number.isNaN(alpha))
  const rms = (pick: (estimate: (typeof all)[number]) => number): string =>
    Math.sqrt(
      all.reduce((sum, estimate) => sum + pick(estimate) ** 2, 0) / Math.max(1, all.length),
    ).toPrecision(3)
  return [
    `${name} rescaled ${String(changed.length)} of ${String(all.length)} sets of input channels, folded into norms and neighbouring weights; ` +
      `${String(rewrittenCount)} tensors that stay 16 bit were rewritten; estimated relative output error ` +
      `${rms(({ errorWithout }) => errorWithout)} without, ${rms(({ errorWith }) => errorWith)} with it`,
    ...leftAlone.map((module) => `${name} left ${module} alone: ${LEFT_ALONE[module] ?? ''}`),
    'quality is not measured beside the calibration, because layers are written after it; quantmill eval measures the finished export',
  ]
}
