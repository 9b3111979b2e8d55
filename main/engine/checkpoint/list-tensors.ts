/** The tensor list of a checkpoint, filtered and sorted, page by page. Pure; weights are not needed. */
import type { TensorOrder, TensorPage } from '../../../shared/domain/checkpoint-summary.ts'
import { elementCount } from '../../../shared/domain/dtype.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { Checkpoint, TensorSlice } from './checkpoint.ts'

export interface TensorQuery {
  /** A case-insensitive substring of name or role; '' matches all. */
  readonly filter: string
  /** As in the shards when undefined. Equal values stay in the order of their names. */
  readonly order?: TensorOrder | undefined
  readonly offset: number
  readonly limit: number
}

interface Listing {
  readonly key: string
  readonly tensors: readonly TensorSlice[]
}

/** Scrolling asks for page after page of one list: the last list of each checkpoint is kept while the checkpoint is. */
const latest = new WeakMap<Checkpoint, Listing>()

/** One page; beyond the end it has no rows. */
export function listTensors(checkpoint: Checkpoint, model: MoeModel, query: TensorQuery): TensorPage {
  const { filter, order, offset, limit } = query
  const key = JSON.stringify([filter, order?.by, order?.isDescending])
  let listing = latest.get(checkpoint)
  if (listing?.key !== key) {
    listing = { key, tensors: sorted(matching(checkpoint, model, filter), model, order) }
    latest.set(checkpoint, listing)
  }
  const rows = listing.tensors
    .slice(offset, offset + limit)
    .map(({ name, dtype, shape, sizeBytes, shardIndex }) => ({
      name,
      role: model.roles.get(name) ?? 'other',
      dtype,
      shape,
      sizeBytes,
      fileName: checkpoint.shards[shardIndex]?.fileName ?? '',
    }))
  return { totalCount: listing.tensors.length, rows }
}

function matching(checkpoint: Checkpoint, model: MoeModel, filter: string): readonly TensorSlice[] {
  const wanted = filter.toLowerCase()
  return [...checkpoint.tensors.values()].filter(
    ({ name }) =>
      wanted === '' ||
      name.toLowerCase().includes(wanted) ||
      model.roles.get(name)?.includes(wanted) === true,
  )
}

function sorted(
  tensors: readonly TensorSlice[],
  model: MoeModel,
  order: TensorOrder | undefined,
): readonly TensorSlice[] {
  if (order === undefined) return tensors
  const sign = order.isDescending ? -1 : 1
  return tensors
    .map((tensor) => ({ tensor, name: nameKey(tensor.name), key: keyOf(tensor, model, order) }))
    .sort((a, b) => sign * compare(a.key, b.key) || compare(a.name, b.name))
    .map(({ tensor }) => tensor)
}

function keyOf(
  { name, dtype, shape, sizeBytes }: TensorSlice,
  model: MoeModel,
  { by }: TensorOrder,
): string | number {
  switch (by) {
    case 'name':
      return nameKey(name)
    case 'role':
      return model.roles.get(name) ?? 'other'
    case 'dtype':
      return dtype
    case 'shape':
      return elementCount(shape)
    case 'bytes':
      return sizeBytes
  }
}

/** Layer 10 comes after layer 9: numbers get the same length. One key a name is far cheaper than a collator for each comparison. */
function nameKey(name: string): string {
  return name.replace(/\d+/g, (digits) => digits.padStart(9, '0'))
}

function compare(a: string | number, b: string | number): number {
  return a < b ? -1 : a > b ? 1 : 0
}
