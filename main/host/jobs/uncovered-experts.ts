/** Experts of a run that no calibration token reached. */
import type { UncoveredExpert } from '../../../shared/domain/job.ts'
import { listUncoveredExperts } from '../../engine/pipeline/resolve-activation-scales.ts'
import type { RunParts } from './run-parts.ts'

export function uncoveredExperts(
  parts: Pick<RunParts, 'prepared' | 'calibrated'>,
): readonly UncoveredExpert[] {
  const { plan, model } = parts.prepared
  const layers = new Map(
    model.modules.flatMap((module) =>
      module.kind === 'experts' ? [[module.name, module.layerIndex] as const] : [],
    ),
  )
  const scales = plan.activationScales.filter(
    (scale) => scale.scope !== 'module' && scale.constantAmax === undefined,
  )
  const scope = scales[0]?.scope ?? 'none'
  return listUncoveredExperts(
    parts.calibrated.stats,
    (module) => layers.get(module),
    scope === 'module' ? 'none' : scope,
  )
}
