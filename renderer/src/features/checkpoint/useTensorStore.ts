/** The tensor list of the opened checkpoint, page by page. A new filter, order or checkpoint discards what is still on the way. */
import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import type { GrantId } from '../../../../shared/domain/app-info.ts'
import type { TensorColumn, TensorOrder } from '../../../../shared/domain/checkpoint-summary.ts'
import { AppError, type SerialisedError } from '../../../../shared/errors/app-error.ts'
import { request } from '../../bridge/api.ts'
import { missingPages, nextOrder, PAGE_ROWS, type TensorPages } from './tensor-pages.ts'

export const useTensorStore = defineStore('tensors', () => {
  const filter = ref('')
  /** undefined = as in the shards. */
  const order = shallowRef<TensorOrder>()
  const totalCount = ref(0)
  const isFresh = ref(false)
  const pages = shallowRef<TensorPages>(new Map())
  const error = shallowRef<SerialisedError>()
  let grantId: GrantId | undefined
  let generation = 0
  const pending = new Set<number>()

  async function begin(grant: GrantId, newFilter: string): Promise<void> {
    if (grantId === grant && filter.value === newFilter && isFresh.value) return
    grantId = grant
    filter.value = newFilter
    await restart()
  }

  async function sortBy(column: TensorColumn): Promise<void> {
    order.value = nextOrder(order.value, column)
    await restart()
  }

  async function restart(): Promise<void> {
    generation += 1
    pending.clear()
    pages.value = new Map()
    isFresh.value = false
    await show(0, PAGE_ROWS - 1)
  }

  /** Fetches what rows `first` to `last` still lack. */
  async function show(first: number, last: number): Promise<void> {
    const isKnown = { has: (page: number) => pages.value.has(page) || pending.has(page) }
    await Promise.all(missingPages(isKnown, first, last).map(fetchPage))
  }

  async function fetchPage(page: number): Promise<void> {
    if (grantId === undefined) return
    const mine = generation
    pending.add(page)
    try {
      const window = { offset: page * PAGE_ROWS, limit: PAGE_ROWS }
      const query = { filter: filter.value, order: order.value, ...window }
      const answer = await request('checkpoint.list_tensors', { grantId, ...query })
      if (mine !== generation) return
      totalCount.value = answer.totalCount
      pages.value = new Map(pages.value).set(page, answer.rows)
      isFresh.value = true
      error.value = undefined
    } catch (thrown: unknown) {
      if (mine === generation) error.value = AppError.from(thrown).serialise()
    } finally {
      if (mine === generation) pending.delete(page)
    }
  }

  return { filter, order, totalCount, isFresh, pages, error, begin, sortBy, show }
})
