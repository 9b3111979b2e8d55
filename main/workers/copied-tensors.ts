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
    const places = copiedPlaces(this.copies, unit)
    if (places === undefined) return this.inner.read(unit)
    this.own.add(unit)
    return unit.slices.map(({ name, sizeBytes }, index) => {
      const bytes = new Uint8Array(sizeBytes)
      const { descriptor, offsetBytes } = places[index] ?? { descriptor: -1, offsetBytes: 0 }
      readFully(descriptor, bytes, offsetBytes, name)
      return bytes
    })
  }

  release(unit: WeightUnit): void {
    if (!this.own.delete(unit)) this.inner.release(unit)
  }
}

export type CopiedPlace = Pick<CopiedTensor, 'descriptor' | 'offsetBytes'>

/** Where the slices of a unit outside the layers lie in copied tensors; undefined unless all of them do. */
export function copiedPlaces(
  copies: readonly CopiedTensor[],
  { layerIndex, slices }: WeightUnit,
): readonly CopiedPlace[] | undefined {
  if (layerIndex !== undefined) return undefined
  const places = slices.map((slice) => placeOf(copies, slice)).filter((place) => place !== undefined)
  return places.length === slices.length ? places : undefined
}

function placeOf(
  copies: readonly CopiedTensor[],
  { shardIndex, offsetBytes, sizeBytes }: TensorSlice,
): CopiedPlace | undefined {
  const copy = copies.find(
    ({ source }) =>
      source.shardIndex === shardIndex &&
      source.offsetBytes <= offsetBytes &&
      offsetBytes + sizeBytes <= source.offsetBytes + source.sizeBytes,
  )
  if (copy === undefined) return undefined
  return {
    descriptor: copy.descriptor,
    offsetBytes: copy.offsetBytes + offsetBytes - copy.source.offsetBytes,
  }
}
