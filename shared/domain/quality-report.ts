/**
 * What a quantization cost, measured by running the quantized model beside the original on the same tokens. Plain data, JSON safe.
 * Written as `quality` of quantmill/report.json and printed by `eval --against`.
 */

/** How far the quantized values are from the original ones, over all their elements. */
export interface ErrorMeasure {
  /** ‖quantized − original‖ / ‖original‖; 0 = equal. 0 when both are zero; a zero original counts as norm 1. */
  readonly relativeError: number
  /** Cosine of the angle between the two; 1 = same direction. 1 when both are zero, 0 when one is. */
  readonly cosine: number
}

/** Output of one routed expert on inputs of the original model, so that the error is the expert's own. */
export interface ExpertQuality extends ErrorMeasure {
  readonly expertIndex: number
  /** Tokens that were compared. */
  readonly tokens: number
}

/** Hidden states after a decoder layer: the error of this layer and of all before it. */
export interface LayerQuality extends ErrorMeasure {
  readonly layerIndex: number
  /** Ascending; experts without tokens are absent. Empty where experts could not be compared one by one. */
  readonly experts: readonly ExpertQuality[]
}

/** How well one model predicts the text. */
export interface TextQuality {
  /** Mean negative log-likelihood of a token in nats. */
  readonly nllMean: number
  readonly perplexity: number
}

/** How an engine scales the inputs of routed experts: with the largest scale of the layer (most kernels), or each with its own. */
export const EXPERT_INPUT_ARITHMETICS = ['layer_max', 'per_expert'] as const

export type ExpertInputArithmetic = (typeof EXPERT_INPUT_ARITHMETICS)[number]

export interface QualityReport {
  /** Windows of text, and tokens predicted in them: all but the first of each; 0 when only layers were measured. */
  readonly windows: number
  readonly tokens: number
  /** Windows of the calibration data, when more than were measured. */
  readonly availableWindows?: number | undefined
  /** This and the next three are absent when only layers were measured. */
  readonly original?: TextQuality | undefined
  readonly quantized?: TextQuality | undefined
  /** Mean over tokens of KL(original ‖ quantized) of the next-token distributions, in nats. */
  readonly klMean?: number | undefined
  /** Share of tokens for which both models rank the same token first, 0 to 1. */
  readonly top1Agreement?: number | undefined
  readonly layers: readonly LayerQuality[]
  readonly expertInputs: ExpertInputArithmetic
}

/** How well both models predict, in one piece. */
export interface PredictionQuality {
  readonly original: TextQuality
  readonly quantized: TextQuality
  readonly klMean: number
  readonly top1Agreement: number
}

/** undefined when only layers were measured. */
export function predictionQuality(quality: QualityReport): PredictionQuality | undefined {
  const { original, quantized, klMean = Number.NaN, top1Agreement = Number.NaN } = quality
  return original && quantized && { original, quantized, klMean, top1Agreement }
}
