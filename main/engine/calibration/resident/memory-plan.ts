/**
 * How a calibration fits into the memory of a GPU. WebGPU does not tell how much there is, so the plan keeps to a budget; the formula counts
 * what is alive at the same time in each phase of a layer, in bytes, with f32 activations:
 *   states   S = 2 · tokens · H · 4                                  hidden states and expert inputs of all tokens
 *   mixer    6 · m · W · 4                                           m tokens in one run, W = widest activation row; six are alive at once
 *   combine  C = m · topK · H · 4 + 4 · m · H · 4                    outputs of experts of m tokens side by side, and rows being added
 *   experts  X = 4 · unit + r · R · 4                                16-bit weights, their staging copy and f32 form; r rows of R = 3H + 6F
 *   outputs  Y = budget − S − max(C, X), at least m · topK · H · 4   outputs of experts that wait to be combined
 * m is the largest with mixer and C within a third of what S leaves each; no tensor exceeds MAX_TENSOR_BYTES.
 */
import type { QwenTextConfig } from '../../models/qwen3_5-moe/text-config.ts'
import { widestRow } from '../hidden-states.ts'

export interface MemoryPlan {
  readonly budgetBytes: number
  /** Tokens of one run; a longer sequence is a run of its own. */
  readonly runTokens: number
  /** Rows of one run of experts, over all of them. */
  readonly expertRows: number
  /** Outputs of experts on the device at once, f32. */
  readonly outputBytes: number
}

/** Measured goal for the 35B shape with 64 x 512 tokens. */
export const DEFAULT_BUDGET_BYTES = 4e9
/** What the budget may grow to when hidden states alone need more than half of it. */
const MAX_BUDGET_BYTES = 7e9
/** Enough rows per expert for a GPU: 256 on average for 8 of 256 experts. */
const MAX_RUN_TOKENS = 8192
/** Half of the largest buffer of a software driver; a real GPU binds 2 GiB. */
const MAX_TENSOR_BYTES = 512 * 1024 * 1024
/** Mixer activations alive at once, in rows of the widest. */
const MIXER_ROWS = 6
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
  const { hiddenSize: h, expertWidth: f, topK } = config
  const statesBytes = 2 * tokens.tokenCount * h * 4
  const grown = Math.max(budgetBytes, Math.min(MAX_BUDGET_BYTES, 2 * statesBytes))
  const rest = grown - statesBytes
  if (rest < grown / 2) return undefined
  const mixerRowBytes = MIXER_ROWS * widestRow(config) * 4
  const outputRowBytes = topK * h * 4
  const combineRowBytes = outputRowBytes + 4 * h * 4
  const largest = Math.min(
    MAX_RUN_TOKENS,
    rest / 3 / Math.max(mixerRowBytes, combineRowBytes),
    MAX_TENSOR_BYTES / outputRowBytes,
  )
  const runTokens = Math.max(tokens.longest, MIN_RUN_TOKENS, Math.floor(largest * runScale))
  const expertRowBytes = (3 * h + 6 * f) * 4
  const expertRows = Math.max(64, Math.floor(Math.min(rest / 12, MAX_TENSOR_BYTES) / expertRowBytes))
  const expertsBytes = 4 * unitBytes + expertRows * expertRowBytes
  const outputBytes = rest - Math.max(runTokens * combineRowBytes, expertsBytes)
  if (outputBytes < runTokens * outputRowBytes) return undefined
  if (Math.max(mixerRowBytes, combineRowBytes) * runTokens > rest) return undefined
  return { budgetBytes: grown, runTokens, expertRows, outputBytes }
}
