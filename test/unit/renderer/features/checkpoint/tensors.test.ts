import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi } from '../../../../../renderer/src/bridge/fake.ts'
import { formatParameters } from '../../../../../renderer/src/features/checkpoint/format-parameters.ts'
import {
  missingPages,
  nextOrder,
  rowAt,
} from '../../../../../renderer/src/features/checkpoint/tensor-pages.ts'
import { useTensorStore } from '../../../../../renderer/src/features/checkpoint/useTensorStore.ts'
import type { TensorPage, TensorRow } from '../../../../../shared/domain/checkpoint-summary.ts'
import { makeDeferred, makeGrant } from '../../snapshots.ts'

function row(name: string): TensorRow {
  return { name, role: 'expert', dtype: 'BF16', shape: [1], sizeBytes: 2, fileName: 'm.safetensors' }
}

const { grantId } = makeGrant('tiny')

beforeEach(() => {
  setActivePinia(createPinia())
})

describe('missingPages', () => {
  it('covers both ends of a range and skips what is known', () => {
    expect(missingPages(new Set(), 150, 450)).toEqual([0, 1, 2])
    expect(missingPages(new Set([1]), 150, 450)).toEqual([0, 2])
    expect(missingPages(new Set(), 0, -1)).toEqual([])
  })
})

describe('useTensorStore', () => {
  it('fetches a page once and finds its rows by their place in the whole list', async () => {
    const api = createFakeApi({
      'checkpoint.list_tensors': ({ offset, limit }) => ({
        totalCount: 100_000,
        rows: Array.from({ length: limit }, (_, index) => row(`t${String(offset + index)}`)),
      }),
    })
    setApi(api)
    const store = useTensorStore()
    await store.begin(grantId, '')
    await Promise.all([store.show(50_000, 50_040), store.show(50_001, 50_041)])
    expect(rowAt(store.pages, 50_017)?.name).toBe('t50017')
    expect(rowAt(store.pages, 70_000)).toBeUndefined()
    expect(api.requests).toHaveLength(2)
  })

  it('forgets the answer to an older filter', async () => {
    const old = makeDeferred<TensorPage>()
    setApi(
      createFakeApi({
        'checkpoint.list_tensors': ({ filter }) =>
          filter === 'old' ? old.promise : { totalCount: 1, rows: [row('new')] },
      }),
    )
    const store = useTensorStore()
    const pending = store.begin(grantId, 'old')
    await store.begin(grantId, 'new')
    old.resolve({ totalCount: 9, rows: [row('old')] })
    await pending
    expect(store.totalCount).toBe(1)
    expect(rowAt(store.pages, 0)?.name).toBe('new')
  })
})

describe('nextOrder', () => {
  it('sizes begin with the largest, texts with the first; the third press gives the order up', () => {
    const bytes = nextOrder(undefined, 'bytes')
    expect(bytes).toEqual({ by: 'bytes', isDescending: true })
    expect(nextOrder(bytes, 'bytes')).toEqual({ by: 'bytes', isDescending: false })
    expect(nextOrder(nextOrder(bytes, 'bytes'), 'bytes')).toBeUndefined()
    expect(nextOrder(bytes, 'name')).toEqual({ by: 'name', isDescending: false })
  })

  it('a new order fetches the list anew, from its beginning', async () => {
    const api = createFakeApi({
      'checkpoint.list_tensors': ({ order }) => ({
        totalCount: 1,
        rows: [row(order === undefined ? 'stored' : `${order.by} ${String(order.isDescending)}`)],
      }),
    })
    setApi(api)
    const store = useTensorStore()
    await store.begin(grantId, '')
    await store.sortBy('bytes')
    expect(rowAt(store.pages, 0)?.name).toBe('bytes true')
  })
})

describe('formatParameters', () => {
  it('writes counts as the field does', () => {
    expect(formatParameters(34_660_610_688, 'en')).toBe('34.7 B')
    expect(formatParameters(396_800_000_000, 'en')).toBe('397 B')
    expect(formatParameters(11_600_000, 'de')).toBe('11,6 M')
    expect(formatParameters(812, 'en')).toBe('812')
  })
})
