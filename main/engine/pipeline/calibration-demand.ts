/** What a calibration needs beside the export: memory on the CPU's side, and disk while it runs. Upper estimates. */
import { maxRunTokens, widestRow } from '../calibration/hidden-states.ts'
import { stateBytes } from '../calibration/stored-states.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'

export interface CalibrationSize {
  readonly calibrationTokens: number
  /** Memory that hidden states may take; what does not fit goes to a scratch file. Default: no limit. */
  readonly stateLimitBytes?: number | undefined
}

export interface CalibrationDemand {
  readonly memoryBytes: number
  readonly diskBytes: number
}

const MIB = 1024 * 1024
/** The device worker with ONNX Runtime loaded, without weights and activations. */
const DEVICE_BYTES = 192 * MIB
/** What a graph on the CPU holds at its peak, in multiples of the activations that one run is cut to. */
const RUN_FACTOR = 10
/** Of the hidden states of one layer boundary, for --resume; one more is written while the last still counts. */
const KEPT_STATES = 2

/** For the CPU, where activations stay in this process; measured peaks were 0.64 to 0.97 of what a whole run was estimated to need. */
export function calibrationDemand(
  text: QwenTextConfig,
  { calibrationTokens, stateLimitBytes = Infinity }: CalibrationSize,
): CalibrationDemand {
  const run = Math.min(calibrationTokens, maxRunTokens(text)) * 4 * widestRow(text)
  const states = stateBytes(text, calibrationTokens)
  const transfer = 2 * Math.min(calibrationTokens, maxRunTokens(text)) * 4 * text.hiddenSize
  const isSpilled = states > stateLimitBytes
  const held = isSpilled ? Math.max(stateLimitBytes, transfer) : states
  return {
    memoryBytes: DEVICE_BYTES + RUN_FACTOR * run + held,
    diskBytes: (isSpilled ? states : 0) + KEPT_STATES * (states / 2),
  }
}
