/** What the calibration of a run reached: experts without a token, and how even it was by layer. */
import type { LayerCoverage, UncoveredExpert } from '../../../shared/domain/job.ts'
import { summariseCoverage } from '../../engine/calibration/coverage/summarise-coverage.ts'
import { listUncoveredExperts } from '../../engine/pipeline/resolve-activation-scales.ts'
import type { RunParts } from './run-parts.ts'

type CalibratedParts = Pick<RunParts, 'prepared' | 'calibrated'>

export function uncoveredExperts(parts: CalibratedParts): readonly UncoveredExpert[] {
  const { plan } = parts.prepared
  const scales = plan.activationScales.filter(
    (scale) => scale.scope !== 'module' && scale.constantAmax === undefined,
  )
  const scope = scales[0]?.scope ?? 'none'
  return listUncoveredExperts(parts.calibrated.stats, layerLookup(parts), scope === 'module' ? 'none' : scope)
}

export function layerCoverage(parts: CalibratedParts): readonly LayerCoverage[] {
  return summariseCoverage(parts.calibrated.stats, layerLookup(parts))
}

/** Layer of an experts module. */
function layerLookup({ prepared }: CalibratedParts): (module: string) => number | undefined {
  const layers = new Map(
    prepared.model.modules.flatMap((module) =>
      module.kind === 'experts' ? [[module.name, module.layerIndex] as const] : [],
    ),
  )
  return (module) => layers.get(module)
}
