/** Points of one line, both in ascending order of time. */
export interface LineSeries {
  readonly x: Float64Array
  readonly y: Float64Array
}
