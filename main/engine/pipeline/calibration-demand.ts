/** What a calibration needs beside the export: memory on the CPU's side, and disk while it runs. Upper estimates. */
import { maxRunTokens, widestRow } from '../calibration/hidden-states.ts'
import { DEFAULT_UNIT_BYTES } from '../calibration/layer-pass.ts'
import { stateBytes } from '../calibration/stored-states.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import { SAMPLE_BYTES } from '../quality/expert-samples.ts'

export interface CalibrationSize {
  readonly calibrationTokens: number
  /** Memory that hidden states may take; what does not fit goes to a scratch file. Default: no limit. */
  readonly stateLimitBytes?: number | undefined
  /** Tokens on which quality is measured where the run calibrates. Default: 0. */
  readonly qualityTokens?: number | undefined
  /** Quality was asked for, also where the run does not calibrate. Default: no. */
  readonly isQualityAsked?: boolean | undefined
}

export interface CalibrationDemand {
  readonly memoryBytes: number
  readonly diskBytes: number
}

const MIB = 1024 * 1024
const NOTHING: CalibrationDemand = { memoryBytes: 0, diskBytes: 0 }
/** The device worker with ONNX Runtime loaded, without weights and activations. */
const DEVICE_BYTES = 192 * MIB
/** What a graph on the CPU holds at its peak, in multiples of the activations that one run is cut to. */
const RUN_FACTOR = 10
/** Of the hidden states of one layer boundary, for --resume; one more is written while the last still counts. */
const KEPT_STATES = 2

/** Nothing for a run without a forward pass: one that needs no data and is not measured. */
export function calibrationDemand(
  text: QwenTextConfig,
  size: CalibrationSize,
  needsCalibration: boolean,
): CalibrationDemand {
  const { qualityTokens = 0, isQualityAsked = false } = size
  if (needsCalibration) return forwardDemand(text, size)
  return isQualityAsked ? forwardDemand(text, { ...size, calibrationTokens: qualityTokens }) : NOTHING
}

/** For the CPU, where activations stay in this process; measured peaks were 0.64 to 0.97 of what a whole run was estimated to need. */
function forwardDemand(
  text: QwenTextConfig,
  { calibrationTokens, stateLimitBytes = Infinity, qualityTokens = 0 }: CalibrationSize,
): CalibrationDemand {
  const run = Math.min(calibrationTokens, maxRunTokens(text)) * 4 * widestRow(text)
  const kept = stateBytes(text, calibrationTokens + qualityTokens)
  const transfer = 2 * Math.min(calibrationTokens, maxRunTokens(text)) * 4 * text.hiddenSize
  const isSpilled = kept > stateLimitBytes
  const held = isSpilled ? Math.max(stateLimitBytes, transfer) : kept
  return {
    memoryBytes: DEVICE_BYTES + RUN_FACTOR * run + held + measuringBytes(text, qualityTokens),
    diskBytes: (isSpilled ? kept : 0) + KEPT_STATES * (kept / 2),
  }
}

/** Samples of experts, the original's states once more, and a unit of weights, decoded from the export and for the run, in f32. */
function measuringBytes(text: QwenTextConfig, qualityTokens: number): number {
  if (qualityTokens === 0) return 0
  const { hiddenSize, expertCount, expertWidth } = text
  const samples = Math.min(SAMPLE_BYTES, 8 * hiddenSize * qualityTokens * text.topK)
  const unit = Math.min(DEFAULT_UNIT_BYTES, 6 * hiddenSize * expertWidth * expertCount)
  return samples + 4 * hiddenSize * qualityTokens + 4 * unit
}
