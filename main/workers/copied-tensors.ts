/**
 * Reads tensors outside the layers from the export, once they are copied there byte for byte: embedding rows and the vocabulary projection
 * are needed for calibration and for the export, and the source is read only for the latter, whatever the size of the vocabulary.
 */
import type { WeightReader, WeightUnit } from '../engine/calibration/weight-reader.ts'
import type { TensorSlice } from '../engine/checkpoint/checkpoint.ts'
import { readFully } from '../engine/io/node/read-fully.ts'

/** A tensor of the source, whole, and where its bytes lie in the export. Structured-clone safe. */
export interface CopiedTensor {
  readonly source: Pick<TensorSlice, 'shardIndex' | 'offsetBytes' | 'sizeBytes'>
  /** Open file of the host. */
  readonly descriptor: number
  readonly offsetBytes: number
}

/** What `inner` reads, unless every slice of a unit lies in a copied tensor. */
export class CopiedTensorReader implements WeightReader {
  private readonly inner: WeightReader
  private readonly copies: readonly CopiedTensor[]
  private readonly own = new Set<WeightUnit>()

  constructor(inner: WeightReader, copies: readonly CopiedTensor[]) {
    this.inner = inner
    this.copies = copies
  }

  async read(unit: WeightUnit): Promise<readonly Uint8Array[]> {
    const copies = unit.slices.map((slice) => this.copyOf(slice))
    if (unit.layerIndex !== undefined || copies.includes(undefined)) return this.inner.read(unit)
    this.own.add(unit)
    return unit.slices.map((slice, index) => {
      const bytes = new Uint8Array(slice.sizeBytes)
      const copy = copies[index]
      if (copy !== undefined) {
        const position = copy.offsetBytes + slice.offsetBytes - copy.source.offsetBytes
        readFully(copy.descriptor, bytes, position, slice.name)
      }
      return bytes
    })
  }

  release(unit: WeightUnit): void {
    if (!this.own.delete(unit)) this.inner.release(unit)
  }

  private copyOf({ shardIndex, offsetBytes, sizeBytes }: TensorSlice): CopiedTensor | undefined {
    return this.copies.find(
      ({ source }) =>
        source.shardIndex === shardIndex &&
        source.offsetBytes <= offsetBytes &&
        offsetBytes + sizeBytes <= source.offsetBytes + source.sizeBytes,
    )
  }
}
