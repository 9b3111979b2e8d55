/** Pages of a long list, fetched as they scroll into view. Pure bookkeeping: which pages a range needs, which row is where, which order is next. */
import type { TensorColumn, TensorOrder, TensorRow } from '../../../../shared/domain/checkpoint-summary.ts'

export const PAGE_ROWS = 200

export type TensorPages = ReadonlyMap<number, readonly TensorRow[]>

/** Pages that rows `first` to `last` (inclusive) touch and that are not in `known`. */
export function missingPages(
  known: { has(page: number): boolean },
  first: number,
  last: number,
): readonly number[] {
  if (last < first) return []
  const pages: number[] = []
  for (
    let page = Math.floor(Math.max(0, first) / PAGE_ROWS);
    page <= Math.floor(last / PAGE_ROWS);
    page += 1
  ) {
    if (!known.has(page)) pages.push(page)
  }
  return pages
}

export function rowAt(pages: TensorPages, index: number): TensorRow | undefined {
  return pages.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS]
}

/** A column's first press sorts by it (sizes: largest first), its second turns the order around, its third gives it up. */
export function nextOrder(order: TensorOrder | undefined, column: TensorColumn): TensorOrder | undefined {
  const first = column === 'bytes' || column === 'shape'
  if (order?.by !== column) return { by: column, isDescending: first }
  return order.isDescending === first ? { by: column, isDescending: !first } : undefined
}
