/**
 * How a calibration fits into the memory of a GPU. WebGPU does not tell how much there is, so the plan keeps to a budget; the formula counts
 * what is alive at the same time in each phase of a layer, in bytes, with f32 activations:
 *   states   S = 2 · tokens · H · 4                                  hidden states and expert inputs of all tokens
 *   mixer    6 · m · W · 4                                           m tokens in one run, W = widest activation row; six are alive at once
 *   combine  C = c · H · 4 + 16 · m · H · 4                          c rows of expert outputs side by side, and rows being added
 *   experts  X = 7 · unit + r · R · 4                                16-bit weights, their staging copy and f32 forms; r rows of R = 3H + 8F
 *   outputs  Y = budget − S − max(C, X), at least those of one run   outputs of experts that wait to be combined
 * m is the largest with mixer and C within a third of what S leaves each. No activation exceeds MAX_TENSOR_BYTES unless one sequence does:
 * the provider keeps smaller buffers for the next run, and to allocate a larger one anew takes 20 to 30 ms (measured).
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { widestRow } from '../hidden-states.ts'

export interface MemoryPlan {
  readonly budgetBytes: number
  /** Tokens of one run; a longer sequence is a run of its own. */
  readonly runTokens: number
  /** Rows of one run of experts, over all of them. */
  readonly expertRows: number
  /** Rows of expert outputs that are added up at once. */
  readonly combineRows: number
  /** Outputs of experts on the device at once, f32. */
  readonly outputBytes: number
}

/** Measured goal for the 35B shape with 64 x 512 tokens. */
export const DEFAULT_BUDGET_BYTES = 4e9
/** What the budget may grow to when hidden states alone need more than half of it. */
const MAX_BUDGET_BYTES = 7e9
/** Enough for a GPU, and routing does not have to wait for more. */
const MAX_RUN_TOKENS = 8192
/** The largest size class of buffers that the provider keeps is 160 MiB. */
const MAX_TENSOR_BYTES = 128 * 1024 * 1024
/** Mixer activations alive at once, in rows of the widest. */
const MIXER_ROWS = 6
/** Rows alive while outputs are added up: a run of the device frees nothing for some steps. */
const COMBINE_ROWS = 16
/** Units alive during an upload, counted in 16-bit weights. */
const UPLOAD_UNITS = 7
/** Below this a GPU has nothing to do in one run. */
const MIN_RUN_TOKENS = 64

/**
 * A plan for `tokenCount` tokens in sequences of at most `longest`, with units of `unitBytes` source bytes; undefined when they do not fit.
 * `runScale` ≤ 1 shrinks runs, after the device refused a larger one.
 */
export function planMemory(
  config: QwenTextConfig,
  tokens: { readonly tokenCount: number; readonly longest: number },
  unitBytes: number,
  budgetBytes = DEFAULT_BUDGET_BYTES,
  runScale = 1,
): MemoryPlan | undefined {
  const { hiddenSize: h, expertWidth: f } = config
  const statesBytes = 2 * tokens.tokenCount * h * 4
  const grown = Math.max(budgetBytes, Math.min(MAX_BUDGET_BYTES, 2 * statesBytes))
  const rest = grown - statesBytes
  if (rest < grown / 2) return undefined
  const mixerRowBytes = MIXER_ROWS * widestRow(config) * 4
  const rowBytes = h * 4
  const largest = Math.min(
    MAX_RUN_TOKENS,
    rest / 3 / mixerRowBytes,
    rest / 3 / (COMBINE_ROWS * rowBytes),
    MAX_TENSOR_BYTES / (4 * widestRow(config)),
  )
  const runTokens = Math.max(tokens.longest, MIN_RUN_TOKENS, Math.floor(largest * runScale))
  const expertRowBytes = (3 * h + 8 * f) * 4
  const widest = 4 * Math.max(h, 2 * f)
  const expertRows = Math.max(64, Math.floor(Math.min(rest / 6 / expertRowBytes, MAX_TENSOR_BYTES / widest)))
  const combineRows = Math.max(expertRows, Math.floor(Math.min(rest / 4, MAX_TENSOR_BYTES) / rowBytes))
  const expertsBytes = UPLOAD_UNITS * unitBytes + expertRows * expertRowBytes
  const combineBytes = (combineRows + COMBINE_ROWS * runTokens) * rowBytes
  const outputBytes = rest - Math.max(combineBytes, expertsBytes)
  if (outputBytes < expertRows * rowBytes) return undefined
  if (mixerRowBytes * runTokens > rest) return undefined
  return { budgetBytes: grown, runTokens, expertRows, combineRows, outputBytes }
}
