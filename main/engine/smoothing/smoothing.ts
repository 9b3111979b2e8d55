/**
 * Smoothing: input channels of linears are divided by a vector s and the columns of their weights multiplied by it, so that what is hard
 * to round moves to where rounding is cheap. W·x stays what it was, because the division is folded into whatever makes x. Names are
 * ModelOpt's algorithms.
 */

export type SmoothingMethod =
  | {
      readonly kind: 'awq_lite'
      /** Distance between the exponents that are tried, from 0 to 1. Above 0, at most 1. */
      readonly alphaStep: number
    }
  | {
      readonly kind: 'smoothquant'
      /** 0 leaves the difficulty to the inputs, 1 moves it to the weights. */
      readonly alpha: number
    }

/** ModelOpt's defaults. */
export const DEFAULT_ALPHA_STEP = 0.1
export const DEFAULT_SMOOTHQUANT_ALPHA = 1

/** A vector of f32 [width], or one of `copies`: experts have their own. */
export interface VectorRef {
  readonly key: string
  readonly copy: number
}

/** How one tensor is rewritten. Absent = not. */
export interface TensorFold {
  /** Columns are multiplied by it. */
  readonly columns?: VectorRef | undefined
  /** Rows are divided by it. */
  readonly rows?: VectorRef | undefined
  /** The tensor is a zero-centred norm's w, whose outputs are divided by it: (1 + w) / s − 1. */
  readonly norm?: VectorRef | undefined
}

/** Linears that read the same channels, and therefore share a vector. */
export interface SmoothingGroup {
  readonly layerIndex: number
  /** Where the division is folded in: a norm's module; or, for what a product of gate and up makes, the linear that reads it. */
  readonly key: string
  readonly width: number
  /** Vectors: the number of experts, or 1. */
  readonly copies: number
  /** Quantizer whose channels these are. */
  readonly site: string
}

/** Vectors by key, f32 [copies · width]; finite and above 0. */
export type SmoothingVectors = ReadonlyMap<string, Float32Array>

/** What was found for a vector. Errors are relative: root of the estimated squared error of all outputs over that of the outputs themselves. */
export interface SmoothingEstimate {
  /** Exponent; NaN where the channels were left alone. */
  readonly alpha: number
  readonly errorWithout: number
  readonly errorWith: number
}

export const vectorOf = (
  vectors: SmoothingVectors,
  { key, copy }: VectorRef,
  width: number,
): Float32Array | undefined => vectors.get(key)?.subarray(copy * width, (copy + 1) * width)
