/**
 * A parsed recipe: ordered quantizer patterns with ModelOpt's meaning, and what ModelOpt keeps elsewhere (calibration, expert input
 * scale, fallback, dialect). Nothing here knows a model; resolve-formats.ts applies a recipe to one.
 */
import type { DialectChoice, ExpertInputScaleChoice } from '../../../shared/domain/run-options.ts'
import type { SmoothingMethod } from '../smoothing/smoothing.ts'

/** Number format of a quantizer: an integer width, or a float as `e<exponent bits>m<mantissa bits>`. */
export type NumBits = number | `e${number}m${number}`

/** Elements that share a scale. */
export interface BlockSizes {
  /** Along the last axis; undefined when only another axis is blocked. */
  readonly last: number | undefined
  /** Along the second last axis, for tiles. */
  readonly secondLast: number | undefined
  /** Scales are found when the tensor is used (`dynamic`) or stored after a search (`static`). */
  readonly isDynamic: boolean
  readonly scaleBits: NumBits | undefined
  /** Block maxima may be mapped to 4 instead of 6; scales are normalised to 256. */
  readonly isFourOverSix: boolean
}

/** What an entry's `cfg` says about a quantizer. */
export interface QuantizerAttributes {
  readonly numBits: NumBits
  /** Axis with one scale each; undefined = one scale for the tensor. */
  readonly axis: number | undefined
  readonly block: BlockSizes | undefined
  /** Scales are found for each token at inference; nothing is calibrated or stored. */
  readonly isDynamic: boolean
  /** Fixed maximum that is stored instead of a calibrated one. */
  readonly constantAmax: number | undefined
  /** Fixed maximum at run time that is not stored (the `_cast` KV caches). */
  readonly usesConstantAmax: boolean
  /** False = the weight is stored compressed inside ModelOpt; not written by Quantmill. */
  readonly isFakeQuant: boolean
}

/** Place in a recipe text, for messages: the file as the user gave it, 1-based line, key path. */
export interface RecipePlace {
  readonly file: string
  readonly line: number
  readonly key: string
}

export interface RecipeEntry {
  /** fnmatch pattern over quantizer names such as `….q_proj.weight_quantizer`. */
  readonly pattern: string
  /** Only quantizers whose module is of this class, in ModelOpt's spelling (`nn.Embedding`). */
  readonly parentClass: string | undefined
  /** Replaces every attribute; undefined = only switches on or off. */
  readonly cfg: QuantizerAttributes | undefined
  readonly isEnabled: boolean
  /** Set for entries a user wrote: such a pattern must match something. */
  readonly place: RecipePlace | undefined
}

/** How scales are found: `none` collects nothing, `max` takes maxima, `mse` also searches static block scales. */
export type CalibrationMethod = 'none' | 'max' | 'mse'

export interface Recipe {
  readonly name: string
  /** One sentence for people. */
  readonly purpose: string
  readonly entries: readonly RecipeEntry[]
  readonly method: CalibrationMethod
  /** `mse`: candidates are the 126 positive FP8 scales. Otherwise only four-over-six blocks can be searched. */
  readonly hasScaleSweep: boolean
  /** Input and cache maxima are this percentile of the row maxima. Absent = the maximum. Above 0 and below 100. */
  readonly percentile?: number | undefined
  /** How input channels are rescaled before weights are rounded. Absent = not. Scales are then maxima, without a percentile. */
  readonly smoothing?: SmoothingMethod | undefined
  readonly calibration: {
    /** `builtin`, or the name of a data file the user supplies; undefined = the run's choice. */
    readonly data: string | undefined
    readonly samples: number | undefined
    readonly sequenceLength: number | undefined
  }
  /** undefined = the profile's default. */
  readonly expertInputScale: ExpertInputScaleChoice | undefined
  /** Scale of an expert that no token reached: the maximum of its layer's experts. */
  readonly fallback: 'layer_maximum'
  readonly dialect: DialectChoice | undefined
  /** The text the user gave; undefined for a built-in recipe. */
  readonly sourceText: string | undefined
}
