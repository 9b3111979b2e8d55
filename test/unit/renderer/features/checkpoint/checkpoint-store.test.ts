import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, describe, expect, it } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi } from '../../../../../renderer/src/bridge/fake.ts'
import { useCheckpointStore } from '../../../../../renderer/src/features/checkpoint/useCheckpointStore.ts'
import type { CheckpointSummary } from '../../../../../shared/domain/checkpoint-summary.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { makeCheckpoint, makeDeferred, makeGrant } from '../../snapshots.ts'

beforeEach(() => {
  setActivePinia(createPinia())
})

describe('useCheckpointStore', () => {
  it('keeps the checkpoint that was asked for last when answers come out of order', async () => {
    const first = makeDeferred<CheckpointSummary>()
    const slow = makeGrant('slow')
    setApi(
      createFakeApi({
        'checkpoint.open': ({ grantId }) =>
          grantId === slow.grantId ? first.promise : makeCheckpoint('fast'),
      }),
    )
    const store = useCheckpointStore()
    const opening = store.open(slow)
    await store.open(makeGrant('fast'))
    first.resolve(makeCheckpoint('slow'))
    expect(await opening).toBeUndefined()
    expect(store.opened?.summary.name).toBe('fast')
  })

  it('shows a refusal with the folder it is about', async () => {
    setApi(
      createFakeApi({
        'checkpoint.open': () => {
          throw new AppError('CONFIG_MISSING', { subject: 'config.json', problem: 'p', remedy: 'r' })
        },
      }),
    )
    const store = useCheckpointStore()
    expect(await store.open(makeGrant('bad'))).toBeUndefined()
    expect(store.state).toMatchObject({
      kind: 'failed',
      grant: { name: 'bad' },
      error: { code: 'CONFIG_MISSING' },
    })
  })
})
