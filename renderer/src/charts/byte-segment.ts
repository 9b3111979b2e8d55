/** One part of a byte bar. */
export interface ByteSegment {
  readonly key: string
  readonly sizeBytes: number
  readonly colour: string
  /** Tooltip. */
  readonly label: string
}
