/**
 * Activation scales from calibration statistics, with the fallbacks for experts that no token reached. Pure.
 * Rules: docs of ModelOpt's export_amax (zero becomes the format's bound, hence scale 1.0) and of set_expert_quantizer_amax
 * (an expert without data takes the maximum of its layer's experts).
 */
import type { QualityFinding, UncoveredExpert } from '../../../shared/domain/job.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { CalibrationStats } from '../calibration/stats.ts'
import { activationScale } from '../quant/activation-scale.ts'
import type { ExportProfile } from '../quant/formats.ts'
import type { PlannedActivationScale, PlannedTensor } from './export-plan.ts'
import type { PlanList } from './plan-list.ts'

export interface ResolvedScale {
  readonly output: PlannedTensor
  /** f32 value that is stored. */
  readonly value: number
}

export interface ResolvedScales {
  readonly scales: readonly ResolvedScale[]
  readonly findings: readonly QualityFinding[]
}

/**
 * One f32 scale per planned activation scale: amax · f32(1 / divisor).
 * Zero amax: an expert takes the maximum of its layer; anything else gets scale 1.0 (the identical profile leaves a KV scale 0).
 * Throws AMAX_MISSING for a site without statistics, AMAX_INVALID for NaN, infinite or negative values.
 */
export function resolveActivationScales(
  planned: Pick<PlanList<PlannedActivationScale>, 'map'>,
  stats: CalibrationStats,
  profile: ExportProfile,
): ResolvedScales {
  const findings: QualityFinding[] = []
  const scales = planned.map((scale) => {
    if (scale.constantAmax !== undefined) {
      return { output: scale.output, value: activationScale(scale.constantAmax, scale.divisor, 'cuda') }
    }
    const amax = Math.max(...scale.sites.map((site) => siteAmax(site, scale, stats)))
    if (amax > 0) return { output: scale.output, value: activationScale(amax, scale.divisor, 'cuda') }
    const isKv = scale.sites.some((site) => site.endsWith('_bmm_quantizer'))
    findings.push({
      code: 'SCALE_NOT_FINITE',
      subject: scale.output.name,
      message: 'no non-zero data reached this input; scale 1.0 was written',
    })
    return { output: scale.output, value: isKv && profile === 'identical' ? 0 : 1 }
  })
  return { scales, findings }
}

/** Experts without tokens and what was done about them, by layer and expert. Empty when the statistics carry no counts. */
export function listUncoveredExperts(
  stats: CalibrationStats,
  layerOf: (expertsModule: string) => number | undefined,
  scope: 'per_expert' | 'shared' | 'none',
): readonly UncoveredExpert[] {
  const fallback = {
    per_expert: "weights: own maximum; inputs: maximum of the layer's other experts",
    shared: "weights: own maximum; inputs: the layer's shared scale",
    none: 'weights: own maximum; the format stores no input scale',
  }[scope]
  const uncovered: UncoveredExpert[] = []
  for (const [module, counts] of stats.expertTokens) {
    const layerIndex = layerOf(module)
    if (layerIndex === undefined) continue
    counts.forEach((tokens, expertIndex) => {
      if (tokens === 0) uncovered.push({ layerIndex, expertIndex, fallback })
    })
  }
  return uncovered.sort((a, b) => a.layerIndex - b.layerIndex || a.expertIndex - b.expertIndex)
}

function siteAmax(site: string, scale: PlannedActivationScale, stats: CalibrationStats): number {
  const values = stats.amax.get(site)
  if (values === undefined || values.length === 0) {
    throw new AppError('AMAX_MISSING', {
      subject: site,
      problem: `no calibration statistic for ${scale.output.name}`,
      remedy: 'calibrate with this recipe, or give a dump that has this quantizer',
    })
  }
  const invalid = values.find((value) => !Number.isFinite(value) || value < 0)
  if (invalid !== undefined) {
    throw new AppError('AMAX_INVALID', {
      subject: site,
      problem: `amax is ${String(invalid)}, which is not a finite number from 0 up`,
      remedy: 'calibrate again or repair the dump',
    })
  }
  const largest = values.reduce((a, b) => Math.max(a, b), 0)
  if (scale.scope !== 'per_expert' || values.length === 1) return largest
  const own = values[scale.expertIndex ?? -1]
  return own === undefined || own === 0 ? largest : own
}
