/** Token ids to hidden states on the device: the rows that are used go there once, and every batch gathers its own. */
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import type { DeviceTensor, GraphFeed } from '../../onnx/graph-runtime.ts'
import { embeddingUnits } from '../embed-tokens.ts'
import { replace, type DeviceBatch } from './device-batch.ts'
import { deviceOutput, type DeviceGraphs } from './device-graphs.ts'
import { embeddingGraph } from './transfer-graphs.ts'
import type { UploadUnit } from './uploads.ts'

/** Rows of the embedding that the batches use, as uploads in order. */
export interface EmbeddingUploads {
  readonly units: readonly UploadUnit[]
  /** Where the row of a token id lies in the units, one behind the other. */
  readonly rowOf: ReadonlyMap<number, number>
}

/** `embedding` [V, H] */
export function embeddingUploads(embedding: TensorSlice, batches: readonly DeviceBatch[]): EmbeddingUploads {
  const [, width = 1] = embedding.shape
  const ids = new Set<number>()
  for (const { part } of batches) for (const id of part.ids) ids.add(id)
  const rowOf = new Map<number, number>()
  let tableRows = 0
  const units = embeddingUnits(embedding, ids).map(({ unit, firsts }): UploadUnit => {
    const rows = numberRows(unit.slices, firsts, tableRows, rowOf)
    tableRows += rows
    const parts = unit.slices.map((_, index) => index)
    return { unit, items: [{ name: 'embedding', shape: [rows, width], parts }] }
  })
  return { units, rowOf }
}

/** Sets `hidden` of every batch; `upload` brings a unit to the device. Throws what uploading throws. */
export async function embedOnDevice(
  graphs: DeviceGraphs,
  { units, rowOf }: EmbeddingUploads,
  batches: readonly DeviceBatch[],
  upload: (unit: UploadUnit) => Promise<readonly DeviceTensor[]>,
): Promise<void> {
  const tables: DeviceTensor[] = []
  try {
    for (const unit of units) tables.push(...(await upload(unit)))
    for (const batch of batches) await embedBatch(graphs, batch, tables, rowOf)
  } finally {
    for (const table of tables) table.dispose()
  }
}

async function embedBatch(
  graphs: DeviceGraphs,
  batch: DeviceBatch,
  tables: readonly DeviceTensor[],
  rowOf: ReadonlyMap<number, number>,
): Promise<void> {
  const { part } = batch
  const index = Int32Array.from(part.ids, (id) => rowOf.get(id) ?? 0)
  const feeds: Record<string, GraphFeed> = {
    index: { dtype: 'int32', shape: [part.batch, part.time], data: index },
  }
  for (const [position, table] of tables.entries()) feeds[`table.${String(position)}`] = table
  const results = await graphs.run(
    {
      key: `embedding of ${String(tables.length)}`,
      build: ({ hiddenSize }) => embeddingGraph(hiddenSize, tables.length),
      deviceOutputs: ['y'],
      feeds,
    },
    () => undefined,
  )
  replace(batch, 'hidden', deviceOutput(results, 'y'))
}

/** Notes which row of the tables each embedding row is, from `tableRow` on; returns how many rows the slices have. */
function numberRows(
  slices: readonly TensorSlice[],
  firsts: readonly number[],
  tableRow: number,
  rowOf: Map<number, number>,
): number {
  let next = tableRow
  for (const [index, { shape }] of slices.entries()) {
    const [rows = 0] = shape
    for (let row = 0; row < rows; row += 1) rowOf.set((firsts[index] ?? 0) + row, next + row)
    next += rows
  }
  return next - tableRow
}
