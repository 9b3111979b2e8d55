/** Running sums of the difference between two walks over the same matrix, and histograms of their scales. */
import {
  SCALE_BINS_PER_OCTAVE,
  type CompareSideName,
  type ScaleHistogram,
} from '../../../../shared/domain/compare-report.ts'

export class DifferenceSums {
  squaredDifference = 0
  squaredReference = 0
  largest = 0
  notFinite = 0
  different = 0

  /** Adds f32 values of equal length; pairs with a NaN or infinity are counted and left out. */
  addValues(left: Float32Array, right: Float32Array, reference: CompareSideName): void {
    const isLeft = reference === 'left'
    let squaredDifference = 0
    let squaredReference = 0
    for (let index = 0; index < left.length; index += 1) {
      const a = left[index] ?? Number.NaN
      const b = right[index] ?? Number.NaN
      const difference = a - b
      if (!Number.isFinite(difference)) {
        this.notFinite += 1
        continue
      }
      squaredDifference += difference * difference
      squaredReference += isLeft ? a * a : b * b
      if (difference === 0) continue
      this.different += 1
      const magnitude = Math.abs(difference)
      if (magnitude > this.largest) this.largest = magnitude
    }
    this.squaredDifference += squaredDifference
    this.squaredReference += squaredReference
  }

  add(other: DifferenceSums): void {
    this.squaredDifference += other.squaredDifference
    this.squaredReference += other.squaredReference
    this.largest = Math.max(this.largest, other.largest)
    this.notFinite += other.notFinite
    this.different += other.different
  }

  /** 0 when the sides are equal; a reference of zeros counts as norm 1. */
  get relativeError(): number {
    if (this.squaredDifference === 0) return 0
    return Math.sqrt(this.squaredDifference / (this.squaredReference === 0 ? 1 : this.squaredReference))
  }
}

/** f32 exponents go from -149 to 127. */
const FIRST_BIN = -150 * SCALE_BINS_PER_OCTAVE
const BIN_COUNT = 280 * SCALE_BINS_PER_OCTAVE

export class ScaleCounts {
  private readonly byFormat = new Map<string, { readonly counts: Uint32Array; unusable: number }>()

  add(format: string, scales: Float32Array): void {
    if (scales.length === 0) return
    let entry = this.byFormat.get(format)
    if (entry === undefined) {
      entry = { counts: new Uint32Array(BIN_COUNT), unusable: 0 }
      this.byFormat.set(format, entry)
    }
    const { counts } = entry
    for (const scale of scales) {
      if (!(scale > 0) || scale === Infinity) {
        entry.unusable += 1
        continue
      }
      const bin = Math.floor(Math.log2(scale) * SCALE_BINS_PER_OCTAVE) - FIRST_BIN
      counts[bin] = (counts[bin] ?? 0) + 1
    }
  }

  histograms(side: CompareSideName): readonly ScaleHistogram[] {
    return [...this.byFormat].map(([format, { counts, unusable }]) => {
      const first = counts.findIndex((count) => count > 0)
      if (first === -1) return { side, format, firstBin: 0, counts: [], unusable }
      const last = counts.findLastIndex((count) => count > 0)
      return {
        side,
        format,
        firstBin: first + FIRST_BIN,
        counts: [...counts.subarray(first, last + 1)],
        unusable,
      }
    })
  }
}
