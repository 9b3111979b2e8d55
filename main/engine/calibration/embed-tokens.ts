/** Reads the embedding rows that occur in the data, in ascending order, and copies them to every place where they occur. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { TokenPart } from './hidden-states.ts'
import { WeightDecoder } from './weight-decoder.ts'
import type { WeightReader, WeightUnit } from './weight-reader.ts'
import { rowSlice } from './weight-units.ts'

/** Rows between two wanted ones that are read along: one larger read is cheaper than two small ones. */
const MAX_GAP_ROWS = 4
const MAX_UNIT_BYTES = 32 * 1024 * 1024

/** Takes the hidden state of token `position` of micro-batch `index`; the vector is valid during the call. */
type StateSink = (index: number, position: number, vector: Float32Array) => void

/** Makes the rows of `embedding` [V, H] that the ids name the first hidden states; no scaling. */
export async function embedTokens(
  embedding: TensorSlice,
  reader: WeightReader,
  batches: readonly TokenPart[],
  sink: StateSink,
): Promise<void> {
  const [, width = 1] = embedding.shape
  const places = placesById(batches)
  const decoder = new WeightDecoder()
  for (const { unit, firsts } of embeddingUnits(embedding, places.keys())) {
    const bytes = await reader.read(unit)
    for (const [index, slice] of unit.slices.entries()) {
      const values = decoder.decode(slice, bytes[index] ?? new Uint8Array(0))
      copyRows(values, firsts[index] ?? 0, { width, places, sink })
    }
    reader.release(unit)
    decoder.reset()
  }
}

function copyRows(
  values: Float32Array,
  firstId: number,
  {
    width,
    places,
    sink,
  }: {
    readonly width: number
    readonly places: ReadonlyMap<number, readonly Place[]>
    readonly sink: StateSink
  },
): void {
  for (let row = 0; row < values.length / width; row += 1) {
    const vector = values.subarray(row * width, (row + 1) * width)
    for (const { index, position } of places.get(firstId + row) ?? []) sink(index, position, vector)
  }
}

export interface EmbeddingUnit {
  readonly unit: WeightUnit
  /** Number of the first row of each slice. */
  readonly firsts: readonly number[]
}

/** Units of bounded size that together hold the rows `ids` of `embedding` [V, H], in ascending order; rows of small gaps are included. */
export function embeddingUnits(embedding: TensorSlice, ids: Iterable<number>): readonly EmbeddingUnit[] {
  const runs = rowRuns([...new Set(ids)].sort((a, b) => a - b))
  const units: EmbeddingUnit[] = []
  let next = 0
  while (next < runs.length) {
    const slices: TensorSlice[] = []
    const firsts: number[] = []
    for (let unitBytes = 0; next < runs.length && unitBytes < MAX_UNIT_BYTES; next += 1) {
      const { first, count } = runs[next] ?? { first: 0, count: 0 }
      const slice = rowSlice(embedding, first, count)
      slices.push(slice)
      firsts.push(first)
      unitBytes += slice.sizeBytes
    }
    units.push({ unit: { layerIndex: undefined, label: 'embedding', slices }, firsts })
  }
  return units
}

interface Place {
  /** Of the micro-batch. */
  readonly index: number
  readonly position: number
}

function placesById(batches: readonly TokenPart[]): Map<number, Place[]> {
  const places = new Map<number, Place[]>()
  for (const [index, batch] of batches.entries()) {
    batch.ids.forEach((id, position) => {
      const present = places.get(id)
      if (present === undefined) places.set(id, [{ index, position }])
      else present.push({ index, position })
    })
  }
  return places
}

function rowRuns(
  ascending: readonly number[],
): readonly { readonly first: number; readonly count: number }[] {
  const runs: { first: number; count: number }[] = []
  for (const row of ascending) {
    const last = runs.at(-1)
    if (last !== undefined && row - (last.first + last.count) <= MAX_GAP_ROWS)
      last.count = row - last.first + 1
    else runs.push({ first: row, count: 1 })
  }
  return runs
}
