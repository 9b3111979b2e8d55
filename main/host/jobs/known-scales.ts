/** Scales of inputs and cache that are known before they are written, as an engine will read them. */
import { amaxAt } from '../../engine/calibration/row-maxima-collector.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { MoeModel } from '../../engine/models/moe-model.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import { resolveActivationScales } from '../../engine/pipeline/resolve-activation-scales.ts'
import { layerOf } from '../../engine/quality/float-model.ts'
import type { KnownScales } from '../../engine/quality/sweep-quality.ts'

/** Of one layer (undefined: outside of layers), by tensor name. Throws what resolveActivationScales throws. */
export function knownScales(
  { activationScales, percentile, profile }: Pick<ExportPlan, 'activationScales' | 'percentile' | 'profile'>,
  { prefix }: Pick<MoeModel, 'prefix'>,
  layerIndex: number | undefined,
  stats: CalibrationStats,
): KnownScales {
  const planned = activationScales.filter(({ output }) => layerOf(prefix, output.name) === layerIndex)
  const { scales } = resolveActivationScales(planned, { ...stats, amax: amaxAt(stats, percentile) }, profile)
  return new Map(
    scales.map(({ output: { name, transform }, value }) => [
      name,
      // What is stored as a reciprocal is rounded twice on its way.
      transform === 'reciprocal' ? Math.fround(1 / Math.fround(1 / value)) : Math.fround(value),
    ]),
  )
}
