/**
 * How evenly a calibration reached the experts of every layer. Thresholds are those of ModelOpt's table of expert token counts
 * (`save_expert_token_count_table`): below 10 % of a layer's mean an expert is thin, below 5 % it is starving.
 */
import type { LayerCoverage } from '../../../../shared/domain/job.ts'
import type { CalibrationStats } from '../stats.ts'

const THIN_SHARE = 0.1
const STARVING_SHARE = 0.05

/** In the order of layers; empty when the statistics have no counts. Every expert is counted in one group only. */
export function summariseCoverage(
  { expertTokens }: CalibrationStats,
  layerOf: (expertsModule: string) => number | undefined,
): readonly LayerCoverage[] {
  const layers: LayerCoverage[] = []
  for (const [module, counts] of expertTokens) {
    const layerIndex = layerOf(module)
    if (layerIndex === undefined || counts.length === 0) continue
    const meanTokens = counts.reduce((sum, count) => sum + count, 0) / counts.length
    const reached = counts.filter((count) => count > 0)
    const starving = reached.filter((count) => count < STARVING_SHARE * meanTokens).length
    const thin = reached.filter((count) => count < THIN_SHARE * meanTokens).length - starving
    layers.push({
      layerIndex,
      meanTokens,
      fewestTokens: counts.reduce((a, b) => Math.min(a, b)),
      uncovered: counts.length - reached.length,
      starving,
      thin,
    })
  }
  return layers.sort((a, b) => a.layerIndex - b.layerIndex)
}
