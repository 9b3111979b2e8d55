/** Reads units of weights from open files into one reused buffer. Slices that lie side by side are read together. */
import { readSync } from 'node:fs'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { WeightReader, WeightUnit } from '../../calibration/weight-reader.ts'
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import { fromFsError } from './fs-error.ts'

/** A contiguous part of a shard and its place in a buffer. */
export interface ReadRange {
  readonly shardIndex: number
  readonly offsetBytes: number
  readonly sizeBytes: number
  readonly bufferOffsetBytes: number
}

/** How a unit is read: ranges of the files, and where in the buffer each slice then begins. */
export interface ReadLayout {
  readonly ranges: readonly ReadRange[]
  readonly sliceOffsets: readonly number[]
  readonly bufferBytes: number
}

/** Start of a range in the buffer: wide enough for every element type. */
const ALIGNMENT_BYTES = 16
/** One call of read() never asks for more; Linux stops at 2 GiB anyway. */
const MAX_READ_BYTES = 1024 * 1024 * 1024

/** Joins neighbouring slices into ranges; every byte of the slices lies in exactly one range. */
export function layOutUnit(slices: readonly TensorSlice[]): ReadLayout {
  const order = slices
    .map((slice, index) => ({ slice, index }))
    .sort((a, b) => a.slice.shardIndex - b.slice.shardIndex || a.slice.offsetBytes - b.slice.offsetBytes)
  const ranges: { shardIndex: number; offsetBytes: number; sizeBytes: number; bufferOffsetBytes: number }[] =
    []
  const sliceOffsets = new Array<number>(slices.length).fill(0)
  let bufferBytes = 0
  for (const { slice, index } of order) {
    const { shardIndex, offsetBytes, sizeBytes } = slice
    const last = ranges.at(-1)
    if (last?.shardIndex === shardIndex && last.offsetBytes + last.sizeBytes === offsetBytes) {
      last.sizeBytes += sizeBytes
    } else {
      bufferBytes = Math.ceil(bufferBytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
      ranges.push({ shardIndex, offsetBytes, sizeBytes, bufferOffsetBytes: bufferBytes })
    }
    sliceOffsets[index] = bufferBytes
    bufferBytes += sizeBytes
  }
  return { ranges, sliceOffsets, bufferBytes }
}

/** Fills the ranges from open files by shard index. Throws SAFETENSORS_TRUNCATED, READ_FAILED. */
export function fillRanges(
  label: string,
  ranges: readonly ReadRange[],
  descriptors: readonly number[],
  buffer: Uint8Array,
): void {
  for (const { shardIndex, offsetBytes, sizeBytes, bufferOffsetBytes } of ranges) {
    let done = 0
    while (done < sizeBytes) {
      const length = Math.min(MAX_READ_BYTES, sizeBytes - done)
      let count = 0
      try {
        count = readSync(
          descriptors[shardIndex] ?? -1,
          buffer,
          bufferOffsetBytes + done,
          length,
          offsetBytes + done,
        )
      } catch (error: unknown) {
        throw fromFsError(error, `shard ${String(shardIndex)}, ${label}`, 'read')
      }
      if (count === 0) {
        throw new AppError('SAFETENSORS_TRUNCATED', {
          subject: `shard ${String(shardIndex)}, ${label}`,
          problem: `the file ends before byte ${String(offsetBytes + sizeBytes)}`,
          remedy: 'get an undamaged copy of this file',
        })
      }
      done += count
    }
  }
}

export class DescriptorReader implements WeightReader {
  private readonly descriptors: readonly number[]
  private buffer = new Uint8Array(0)
  /** Source bytes read so far. */
  bytesRead = 0

  /** `descriptors` are open files by shard index; the caller closes them. */
  constructor(descriptors: readonly number[]) {
    this.descriptors = descriptors
  }

  read(unit: WeightUnit): Promise<readonly Uint8Array[]> {
    return Promise.resolve().then(() => {
      const { ranges, sliceOffsets, bufferBytes } = layOutUnit(unit.slices)
      if (this.buffer.length < bufferBytes) this.buffer = new Uint8Array(bufferBytes)
      fillRanges(unit.label, ranges, this.descriptors, this.buffer)
      this.bytesRead += unit.slices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
      return sliceViews(unit.slices, sliceOffsets, this.buffer)
    })
  }

  release(): void {
    // The one buffer is reused by the next read.
  }
}

/** A view of the buffer for every slice. */
export function sliceViews(
  slices: readonly TensorSlice[],
  sliceOffsets: readonly number[],
  buffer: Uint8Array,
): readonly Uint8Array[] {
  return slices.map(({ sizeBytes }, index) => {
    const begin = sliceOffsets[index] ?? 0
    return buffer.subarray(begin, begin + sizeBytes)
  })
}
