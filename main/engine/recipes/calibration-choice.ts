/** How much calibration data a run uses: what the user said, else what the recipe says, else the default. */
import { DEFAULT_CALIBRATION, type RunOptions } from '../../../shared/domain/run-options.ts'
import type { Recipe } from './recipe.ts'

export interface CalibrationChoice {
  readonly samples: number
  /** Tokens of a sample. */
  readonly sequenceLength: number
}

export function calibrationChoice(
  { samples, sequenceLength }: Pick<RunOptions, 'samples' | 'sequenceLength'>,
  { calibration }: Pick<Recipe, 'calibration'>,
): CalibrationChoice {
  return {
    samples: samples ?? calibration.samples ?? DEFAULT_CALIBRATION.samples,
    sequenceLength: sequenceLength ?? calibration.sequenceLength ?? DEFAULT_CALIBRATION.sequenceLength,
  }
}
