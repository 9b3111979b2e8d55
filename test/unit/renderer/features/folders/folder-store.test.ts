import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi, type FakeHandlers } from '../../../../../renderer/src/bridge/fake.ts'
import { useFolderStore } from '../../../../../renderer/src/features/folders/useFolderStore.ts'
import type { FolderListing } from '../../../../../shared/domain/app-info.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { makeGrant } from '../../snapshots.ts'

const places: FolderListing = { displayPath: '', parentEntryId: undefined, entries: [] }
const models: FolderListing = { displayPath: '~/models', parentEntryId: undefined, entries: [] }

const HANDLERS: FakeHandlers = {
  'folder.list': ({ entryId }) => (entryId === undefined ? places : models),
  'folder.grant': () => makeGrant('models'),
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
}

beforeEach(() => {
  setActivePinia(createPinia())
})

describe('useFolderStore', () => {
  it('gives the grant of the folder that is shown', async () => {
    setApi(createFakeApi(HANDLERS))
    const store = useFolderStore()
    const picked = store.pick('checkpoint')
    await settle()
    expect(store.isAtPlaces).toBe(true)
    await store.visit('e_models')
    await store.choose(undefined)
    expect((await picked)?.name).toBe('models')
    expect(store.state.kind).toBe('closed')
  })

  it('gives nothing when it is closed, and begins the next visit where the last ended', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useFolderStore()
    const picked = store.pick('output')
    await settle()
    await store.visit('e_models')
    store.close()
    expect(await picked).toBeUndefined()
    void store.pick('output')
    await settle()
    expect(api.requests.at(-1)).toEqual({ route: 'folder.list', input: { entryId: 'e_models' } })
  })

  it('keeps the list usable when a choice is refused', async () => {
    const refuse = (): never => {
      throw new AppError('PERMISSION_DENIED', { subject: 's', problem: 'p', remedy: 'r' })
    }
    setApi(createFakeApi({ ...HANDLERS, 'folder.grant': refuse }))
    const store = useFolderStore()
    void store.pick('output')
    await settle()
    await store.visit('e_models')
    await store.choose(undefined)
    expect(store.state).toMatchObject({
      kind: 'open',
      listing: { displayPath: '~/models' },
      error: { code: 'PERMISSION_DENIED' },
    })
  })
})
