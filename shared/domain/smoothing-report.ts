/** What rescaling input channels was expected to gain, by layer. Written as `smoothing` of quantmill/report.json. Plain data, JSON safe. */

/** Vectors of one kind in one layer: one for a norm or the shared expert, one for each routed expert. */
export interface SmoothedChannels {
  readonly layerIndex: number
  /** What is divided, by name below the layer: `input_layernorm`, `mlp.experts.down_proj`, … */
  readonly name: string
  readonly vectorCount: number
  /** Vectors that are not 1 everywhere. */
  readonly scaledCount: number
  /** Smallest and largest exponent of these; undefined when there is none. */
  readonly alpha?: readonly [smallest: number, largest: number] | undefined
  /**
   * Estimated error of the outputs that read the channels, relative to them, without and with the vectors: the mean over vectors for which
   * there was data. From channel magnitudes, with all else unrounded; what the export really lost is `quality`, or `eval --against`.
   */
  readonly errorWithout: number
  readonly errorWith: number
}

export interface SmoothingReport {
  readonly method: 'awq_lite' | 'smoothquant'
  /** Quantized linears whose inputs were left alone, by name below the layer. */
  readonly leftAlone: readonly string[]
  readonly channels: readonly SmoothedChannels[]
}
