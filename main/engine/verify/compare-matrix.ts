/** One dequantized matrix against its source: every value within the bound of its format. Streams in chunks of rows. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { foldedCopy, type ResolvedFold } from '../smoothing/fold-values.ts'
import type { StoredMatrix } from './check-tensors.ts'
import { compareChunk } from './compare-values.ts'
import { decodeChunks, type DecodedChunk } from './decode-chunks.ts'
import { errorBound } from './error-bound.ts'
import { isFloat, roundedToBf16 } from './read-floats.ts'
import { WindowedReader, type ReadableCheckpoint } from './windowed-reader.ts'

/** Plain data, so that another thread can do it. */
export interface MatrixTask {
  readonly stored: StoredMatrix
  /** BF16, F16 or F32 matrix of the same shape. */
  readonly original: TensorSlice
  /** How smoothing rewrote the matrix before it was rounded; undefined: not. */
  readonly fold?: ResolvedFold | undefined
}

export interface MatrixComparison {
  readonly squaredError: number
  readonly squaredWeights: number
  /** Largest |error| / bound. */
  readonly largestShare: number
  /** Places beyond the bound. */
  readonly violationCount: number
  /** The first of them, in words; '' without one. */
  readonly firstViolation: string
}

/** Compares matrices one by one. A matrix gives the same result wherever and beside whatever it is compared. */
export interface MatrixComparer {
  /** Tasks worth handing over before the first has answered. */
  readonly parallelCount: number
  compare(task: MatrixTask): Promise<MatrixComparison>
  close(): Promise<void>
}

/** The reference: in this thread, one after the other. */
export class PlainComparer implements MatrixComparer {
  readonly parallelCount = 1
  private readonly reader: WindowedReader
  private readonly sourceReader: WindowedReader

  constructor(exported: ReadableCheckpoint, source: ReadableCheckpoint) {
    this.reader = new WindowedReader(exported)
    this.sourceReader = new WindowedReader(source)
  }

  /** Throws READ_FAILED, SAFETENSORS_TRUNCATED. */
  async compare({ stored, original, fold }: MatrixTask): Promise<MatrixComparison> {
    const bound = errorBound(stored.stored)
    const { rows, cols } = stored.matrix
    const rowBytes = original.sizeBytes / rows
    const sums = { squaredError: 0, squaredWeights: 0, largestShare: 0 }
    let violationCount = 0
    let firstViolation = ''
    for await (const chunk of decodeChunks(stored, this.reader)) {
      const from = chunk.firstRow * rowBytes
      const read = await this.sourceReader.read(original, from, chunk.rowCount * rowBytes)
      const bytes = fold === undefined ? read : foldedCopy(original, fold, from, read)
      const weights = isFloat(original.dtype) ? roundedToBf16(original.dtype, bytes) : new Float32Array(0)
      const violations = compareChunk(bound, weights, chunk, sums)
      if (violationCount === 0 && violations.count > 0)
        firstViolation = describe(violations.first, weights, chunk, cols)
      violationCount += violations.count
    }
    return { ...sums, violationCount, firstViolation }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function describe(
  index: number,
  weights: Float32Array,
  { values, firstRow }: DecodedChunk,
  cols: number,
): string {
  const place = `[${String(firstRow + Math.floor(index / cols))}, ${String(index % cols)}]`
  return `at ${place} the source is ${String(weights[index])}, the export ${String(values[index])}`
}
