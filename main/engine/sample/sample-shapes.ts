/** The released shapes that a synthetic checkpoint can take. Numbers only; source: configuration files of the released models. */

export const SAMPLE_SHAPES = ['tiny', 'qwen3.5-35b-a3b', 'qwen3.5-122b-a10b', 'qwen3.5-397b-a17b'] as const

export type SampleShape = (typeof SAMPLE_SHAPES)[number]

/** Sizes of a text tower and, for `tiny`, of its vision tower. */
export interface SampleNumbers {
  readonly hiddenSize: number
  readonly layerCount: number
  readonly vocabSize: number
  readonly headCount: number
  readonly kvHeadCount: number
  readonly headDim: number
  readonly linearKeyHeadCount: number
  readonly linearValueHeadCount: number
  readonly linearHeadDim: number
  readonly expertCount: number
  readonly topK: number
  readonly expertWidth: number
  readonly sharedExpertWidth: number
  readonly maxPositions: number
  readonly visionDepth: number
  readonly visionWidth: number
  readonly visionMlpWidth: number
  readonly visionPositions: number
  /** Every how many layers one is full attention. @default 4, as in every released model */
  readonly fullAttentionInterval?: number
}

const RELEASED = {
  vocabSize: 248320,
  kvHeadCount: 2,
  headDim: 256,
  linearKeyHeadCount: 16,
  linearHeadDim: 128,
  maxPositions: 262144,
  visionDepth: 27,
  visionWidth: 1152,
  visionMlpWidth: 4304,
  visionPositions: 2304,
}

export const SHAPE_NUMBERS: Readonly<Record<SampleShape, SampleNumbers>> = {
  tiny: {
    hiddenSize: 256,
    layerCount: 4,
    vocabSize: 4096,
    headCount: 4,
    kvHeadCount: 2,
    headDim: 64,
    linearKeyHeadCount: 4,
    linearValueHeadCount: 8,
    linearHeadDim: 32,
    expertCount: 32,
    topK: 4,
    expertWidth: 128,
    sharedExpertWidth: 128,
    maxPositions: 4096,
    visionDepth: 2,
    visionWidth: 64,
    visionMlpWidth: 128,
    visionPositions: 64,
  },
  'qwen3.5-35b-a3b': {
    ...RELEASED,
    hiddenSize: 2048,
    layerCount: 40,
    headCount: 16,
    linearValueHeadCount: 32,
    expertCount: 256,
    topK: 8,
    expertWidth: 512,
    sharedExpertWidth: 512,
  },
  'qwen3.5-122b-a10b': {
    ...RELEASED,
    hiddenSize: 3072,
    layerCount: 48,
    headCount: 32,
    linearValueHeadCount: 64,
    expertCount: 256,
    topK: 8,
    expertWidth: 1024,
    sharedExpertWidth: 1024,
  },
  'qwen3.5-397b-a17b': {
    ...RELEASED,
    hiddenSize: 4096,
    layerCount: 60,
    headCount: 32,
    linearValueHeadCount: 64,
    expertCount: 512,
    topK: 10,
    expertWidth: 1024,
    sharedExpertWidth: 1024,
  },
}
