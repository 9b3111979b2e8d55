/** What `compare` found between two checkpoints: exports, or an export and its source. Plain data, JSON safe. */
import type { ExpertRows } from './expert-rows.ts'

/** Entries that lists of a report keep; the rest is counted. */
export const COMPARE_LIST_LENGTH = 200
/** Bins of a scale histogram for each doubling. */
export const SCALE_BINS_PER_OCTAVE = 2

export type CompareSideName = 'left' | 'right'

/** Effective scales (block scale times tensor scale) of one format on one side. */
export interface ScaleHistogram {
  readonly side: CompareSideName
  readonly format: string
  /** Lower edge of the first bin is 2 ** (firstBin / SCALE_BINS_PER_OCTAVE). */
  readonly firstBin: number
  readonly counts: readonly number[]
  /** Scales that are zero, negative or not finite. */
  readonly unusable: number
}

export interface CompareSide {
  readonly name: string
  readonly displayPath: string
  /** `export` = declares a quantization. */
  readonly kind: 'export' | 'checkpoint'
  readonly dialect: string
  readonly algorithm: string
  readonly tensorCount: number
  readonly tensorBytes: number
}

export interface FormatPair {
  readonly left: string
  readonly right: string
  readonly matrixCount: number
  readonly identicalCount: number
  readonly relativeError: number
}

export interface MatrixDifference {
  readonly name: string
  readonly layerIndex: number | undefined
  readonly expertIndex: number | undefined
  readonly left: string
  readonly right: string
  /** ||left - right|| / ||reference|| of the decoded values. */
  readonly relativeError: number
  readonly largestDifference: number
  /** Values that are NaN or infinite on a side; they are left out of the errors. */
  readonly notFinite: number
}

export interface CountedList<T> {
  readonly count: number
  /** The first COMPARE_LIST_LENGTH. */
  readonly items: readonly T[]
}

export interface ConfigDifference {
  readonly fileName: string
  /** `text_config.num_experts`; empty for a file that only one side has. */
  readonly path: string
  /** undefined = absent on this side. */
  readonly left: string | undefined
  readonly right: string | undefined
}

export interface CompareReport {
  readonly left: CompareSide
  readonly right: CompareSide
  /** What errors are relative to: an unquantized side if there is one, else the left. */
  readonly reference: CompareSideName
  readonly layerCount: number
  readonly expertCount: number
  readonly comparedCount: number
  readonly identicalCount: number
  readonly relativeError: number
  /** Relative error of each routed expert over its three matrices, [layer][expert]. */
  readonly expertError: ExpertRows
  readonly formatPairs: readonly FormatPair[]
  /** Largest relative error first. */
  readonly worst: readonly MatrixDifference[]
  readonly scales: readonly ScaleHistogram[]
  readonly onlyLeft: CountedList<string>
  readonly onlyRight: CountedList<string>
  /** On both sides, but of different shape, or not decodable. */
  readonly notComparable: CountedList<{ readonly name: string; readonly reason: string }>
  readonly configs: CountedList<ConfigDifference>
  readonly files: readonly {
    readonly fileName: string
    readonly state: 'same' | 'different' | CompareSideName
  }[]
}
