/** Reads units of weights from open files into one reused buffer: the reader of evaluations and tests, where nothing is handed on. */
import type { WeightReader, WeightUnit } from '../../calibration/weight-reader.ts'
import { readFully } from './read-fully.ts'

/** Start of a slice in the buffer: wide enough for every element type. */
const ALIGNMENT_BYTES = 16

export class DescriptorReader implements WeightReader {
  /** Source bytes read so far. */
  bytesRead = 0
  private readonly descriptors: readonly number[]
  private buffer = new Uint8Array(0)

  /** `descriptors` are open files by shard index; the caller closes them. */
  constructor(descriptors: readonly number[]) {
    this.descriptors = descriptors
  }

  read({ slices }: WeightUnit): Promise<readonly Uint8Array[]> {
    return Promise.resolve().then(() => {
      const padded = slices.map(({ sizeBytes }) => Math.ceil(sizeBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
      const neededBytes = padded.reduce((sum, size) => sum + size, 0)
      if (this.buffer.length < neededBytes) this.buffer = new Uint8Array(neededBytes)
      let position = 0
      return slices.map((slice, index) => {
        const view = this.buffer.subarray(position, position + slice.sizeBytes)
        readFully(this.descriptors[slice.shardIndex] ?? -1, view, slice.offsetBytes, slice.name)
        position += padded[index] ?? 0
        this.bytesRead += slice.sizeBytes
        return view
      })
    })
  }

  release(): void {
    // The one buffer is reused by the next read.
  }
}
