/** Loops over rows of f32 matrices that the calibrator needs between graph runs. Row-major, one typed array per matrix. */

/** Largest value, NaN when any is NaN, 0 for an empty array. Values are magnitudes (≥ 0). */
export function propagatingMaximum(values: Float32Array): number {
  let largest = 0
  for (const value of values) {
    if (value <= largest) continue
    if (value !== value) return Number.NaN
    largest = value
  }
  return largest
}

/** A part of a long list of rows: rows `from..to-1` of an index list, all of them in the matrix that starts at row `baseRow`. */
export interface RowSpan {
  readonly rows: Int32Array
  readonly from: number
  readonly to: number
  readonly baseRow: number
}

/** target[targetRow + i] = matrix[rows[from + i] − baseRow], rows of f32 [*, width]. */
export function gatherRows(
  matrix: Float32Array,
  width: number,
  { rows, from, to, baseRow }: RowSpan,
  target: Float32Array,
  targetRow: number,
): void {
  let position = targetRow * width
  for (let i = from; i < to; i++) {
    const start = (rows[i]! - baseRow) * width
    target.set(matrix.subarray(start, start + width), position)
    position += width
  }
}

/** matrix[rows[from + i] − baseRow] += scales[from + i] · values[valueRow + i], rows of f32 [*, width]; rows may repeat. */
export function addScaledRows(
  matrix: Float32Array,
  width: number,
  { rows, from, to, baseRow }: RowSpan,
  scales: Float32Array,
  values: Float32Array,
  valueRow: number,
): void {
  let position = valueRow * width
  for (let i = from; i < to; i++) {
    const start = (rows[i]! - baseRow) * width
    const scale = scales[i]!
    for (let column = 0; column < width; column++)
      matrix[start + column]! += scale * values[position + column]!
    position += width
  }
}

/** Index of the first NaN or infinity, or −1. */
export function firstNotFinite(values: Float32Array): number {
  // x − x is 0 for finite values and NaN otherwise; one test at the end keeps the loop free of branches.
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]! - values[i]!
  return sum === 0 ? -1 : values.findIndex((value) => !Number.isFinite(value))
}

/** Sums over two lists of the same length, in f64: (b − a)², a², b² and a · b. */
export function errorProducts(
  a: Float32Array,
  b: Float32Array,
): { readonly error: number; readonly a2: number; readonly b2: number; readonly ab: number } {
  let [error, a2, b2, ab] = [0, 0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const left = a[i]!
    const right = b[i]!
    error += (right - left) * (right - left)
    a2 += left * left
    b2 += right * right
    ab += left * right
  }
  return { error, a2, b2, ab }
}
