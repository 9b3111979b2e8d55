/** Validated numbers of a `qwen3_5_moe` text configuration. Filled by read-text-config.ts; never from class defaults. */

export type MixerKind = 'linear_attention' | 'full_attention'

export interface QwenTextConfig {
  readonly hiddenSize: number
  readonly layerCount: number
  readonly layerKinds: readonly MixerKind[]
  readonly vocabSize: number
  readonly headCount: number
  readonly kvHeadCount: number
  readonly headDim: number
  readonly linearKeyHeadCount: number
  readonly linearValueHeadCount: number
  readonly linearKeyHeadDim: number
  readonly linearValueHeadDim: number
  readonly convKernelSize: number
  readonly expertCount: number
  readonly topK: number
  readonly expertWidth: number
  readonly sharedExpertWidth: number
  readonly rmsNormEps: number
  readonly ropeTheta: number
  /** Channels of each head that rotate: partial_rotary_factor * headDim, even. */
  readonly rotaryDim: number
  readonly maxPositions: number
  readonly tieWordEmbeddings: boolean
}
