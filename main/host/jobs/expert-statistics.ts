/** Calibration statistics by layer and expert, for maps. */
import type { ExpertRows } from '../../../shared/domain/expert-rows.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { MoeModel } from '../../engine/models/moe-model.ts'

/** Digits of an amax that a colour can show; the exact values are in the calibration dump. */
const AMAX_DIGITS = 4

export interface ExpertStatistics {
  readonly expertTokens: ExpertRows
  /** Largest magnitude of each expert's input; layers with one shared value have no row. */
  readonly expertAmax: ExpertRows
}

export function expertStatistics(stats: CalibrationStats, model: MoeModel): ExpertStatistics {
  const { layerCount } = model.text
  const expertTokens: (readonly number[] | null)[] = Array.from({ length: layerCount }, () => null)
  const expertAmax: (readonly number[] | null)[] = Array.from({ length: layerCount }, () => null)
  for (const module of model.modules) {
    if (module.kind !== 'experts' || module.layerIndex === undefined) continue
    const tokens = stats.expertTokens.get(module.name)
    if (tokens !== undefined) expertTokens[module.layerIndex] = [...tokens]
    const amax = expertInputAmax(stats, module.name)
    if (amax !== undefined) expertAmax[module.layerIndex] = amax
  }
  return { expertTokens, expertAmax }
}

/** Input amax of each expert of `<….mlp.experts>`, rounded; undefined when the statistics have none, or one for all. */
export function expertInputAmax(stats: CalibrationStats, module: string): readonly number[] | undefined {
  const amax = stats.amax.get(`${module}.gate_up_proj_input_quantizer`)
  if (amax === undefined || amax.length === 1) return undefined
  return Array.from(amax, (value) => Number(value.toPrecision(AMAX_DIGITS)))
}
