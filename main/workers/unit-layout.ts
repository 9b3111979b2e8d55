/** Where the slices of a unit lie in the shared memory it is read into. */
import type { TensorSlice } from '../engine/checkpoint/checkpoint.ts'
import type { FilledRange } from './unit-protocol.ts'

/** Slices start on cache lines. */
const ALIGNMENT_BYTES = 64

export interface UnitLayout {
  /** Parallel to the slices. */
  readonly ranges: readonly FilledRange[]
  readonly sizeBytes: number
}

export function layOutUnit(slices: readonly TensorSlice[]): UnitLayout {
  let position = 0
  let sizeBytes = 0
  const ranges = slices.map(({ shardIndex, offsetBytes, sizeBytes: sliceBytes }) => {
    const range = { shardIndex, offsetBytes, sizeBytes: sliceBytes, bufferOffsetBytes: position }
    sizeBytes = position + sliceBytes
    position += Math.ceil(sliceBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return range
  })
  return { ranges, sizeBytes }
}
