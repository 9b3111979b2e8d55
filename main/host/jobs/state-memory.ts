/** How much memory hidden states may take when nobody says. */
import { constrainedMemory } from 'node:process'
import { totalmem } from 'node:os'
import {
  candidateSamples,
  measuredSamples,
  STATE_MEMORY_SHARE,
  type RunOptions,
} from '../../../shared/domain/run-options.ts'
import type { CalibrationSize } from '../../engine/pipeline/calibration-demand.ts'
import type { CalibrationChoice } from '../../engine/recipes/calibration-choice.ts'

/** Default: a share of the machine's memory, or of what a container gives this process. */
export function stateLimitBytes(memoryBytes: number | undefined): number {
  if (memoryBytes !== undefined) return memoryBytes
  // Without a limit the answer is 0 or larger than any memory, by system.
  const constrained = constrainedMemory()
  const available = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
  return Math.floor(available * STATE_MEMORY_SHARE)
}

/** What a calibration with that much data is planned for on this machine. */
export function calibrationSize(
  options: Pick<RunOptions, 'minTokensPerExpert' | 'coverageBudget' | 'memoryBytes' | 'quality'>,
  calibration: CalibrationChoice,
): CalibrationSize {
  const { samples, sequenceLength } = calibration
  const { quality = 'full' } = options
  return {
    calibrationTokens: candidateSamples({ ...options, ...calibration }) * sequenceLength,
    qualityTokens: quality === 'off' ? 0 : measuredSamples(samples, sequenceLength) * sequenceLength,
    isQualityAsked: options.quality !== undefined && options.quality !== 'off',
    stateLimitBytes: stateLimitBytes(options.memoryBytes),
  }
}
