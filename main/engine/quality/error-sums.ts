/** Adds up how far two lists of numbers are apart, part by part, in f64. */
import type { ErrorMeasure } from '../../../shared/domain/quality-report.ts'
import { errorProducts } from '../tensor/row-math.ts'

export class ErrorSums {
  private squaredError = 0
  private squaredOriginal = 0
  private squaredQuantized = 0
  private product = 0

  /** The two have the same length. */
  add(original: Float32Array, quantized: Float32Array): void {
    const { error, a2, b2, ab } = errorProducts(original, quantized)
    this.squaredError += error
    this.squaredOriginal += a2
    this.squaredQuantized += b2
    this.product += ab
  }

  /** NaN or infinite when a value was. */
  measure(): ErrorMeasure {
    const { squaredError, squaredOriginal, squaredQuantized, product } = this
    const norms = Math.sqrt(squaredOriginal) * Math.sqrt(squaredQuantized)
    const areBothZero = squaredOriginal === 0 && squaredQuantized === 0
    return {
      relativeError: Math.sqrt(squaredError) / (squaredOriginal === 0 ? 1 : Math.sqrt(squaredOriginal)),
      cosine: norms === 0 ? (areBothZero ? 1 : 0) : product / norms,
    }
  }
}
