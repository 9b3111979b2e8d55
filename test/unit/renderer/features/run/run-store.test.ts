import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi, type FakeHandlers } from '../../../../../renderer/src/bridge/fake.ts'
import { toRunOptions, createDraft } from '../../../../../renderer/src/features/recipe/recipe-draft.ts'
import { useRunStore } from '../../../../../renderer/src/features/run/useRunStore.ts'
import type { JobId, JobLogLine } from '../../../../../shared/domain/job.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { makeGrant, makeReport, makeSnapshot } from '../../snapshots.ts'

const jobId = 'j_1' as JobId
const input = { grantId: makeGrant('tiny').grantId, options: toRunOptions(createDraft(1)), outputName: 'out' }

function line(timeMs: number, id: JobId = jobId): JobLogLine {
  return { jobId: id, timeMs, level: 'info', message: `m${String(timeMs)}` }
}

const HANDLERS: FakeHandlers = {
  'job.start': () => ({ jobId }),
  'job.get': () => makeSnapshot({ sequence: 1 }),
  'job.get_log': () => [line(1)],
  'job.list': () => [],
}

beforeEach(() => {
  setActivePinia(createPinia())
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('useRunStore', () => {
  it('watches the run that it started and follows its snapshots', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useRunStore()
    const seen: string[] = []
    store.listen(({ state }) => seen.push(state.kind))
    expect(await store.begin(input)).toBe(true)
    expect(store.isActive).toBe(true)
    api.emit('job.snapshot', makeSnapshot({ sequence: 2, state: { kind: 'running', stage: 'export' } }))
    api.emit(
      'job.snapshot',
      makeSnapshot({ sequence: 3, state: { kind: 'succeeded', report: makeReport() } }),
    )
    expect(seen).toEqual(['running', 'succeeded'])
    expect(store.isActive).toBe(false)
  })

  it('ignores a snapshot that is older than the one it shows', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useRunStore()
    store.listen(() => undefined)
    await store.begin(input)
    api.emit('job.snapshot', makeSnapshot({ sequence: 7, elapsedMs: 700 }))
    api.emit('job.snapshot', makeSnapshot({ sequence: 6, elapsedMs: 600 }))
    expect(store.current?.elapsedMs).toBe(700)
  })

  it('shows why a run was refused and watches nothing', async () => {
    const refuse = (): never => {
      throw new AppError('OUTPUT_NOT_EMPTY', { subject: 'out', problem: 'p', remedy: 'r' })
    }
    setApi(createFakeApi({ ...HANDLERS, 'job.start': refuse }))
    const store = useRunStore()
    expect(await store.begin(input)).toBe(false)
    expect(store.start).toMatchObject({ kind: 'refused', error: { code: 'OUTPUT_NOT_EMPTY' } })
    expect(store.current).toBeUndefined()
  })

  it('makes the same request again with what to do about the output in its place', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useRunStore()
    expect(store.canBeginAgain).toBe(false)
    await store.begin(input)
    expect(store.canBeginAgain).toBe(true)
    await store.beginAgain('overwrite')
    const starts = api.requests.filter(({ route }) => route === 'job.start').map((entry) => entry.input)
    expect(starts).toEqual([input, { ...input, mode: 'overwrite' }])
  })

  it('joins the fetched log with later lines of this run only', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useRunStore()
    store.listen(() => undefined)
    await store.begin(input)
    api.emit('job.log', line(2))
    api.emit('job.log', line(3, 'j_2' as JobId))
    await vi.runAllTimersAsync()
    expect(store.log.map(({ message }) => message)).toEqual(['m1', 'm2'])
  })

  it('finds a run that was under way before the page was loaded', async () => {
    const running = makeSnapshot({ sequence: 4, state: { kind: 'running', stage: 'calibrate' } })
    setApi(createFakeApi({ ...HANDLERS, 'job.list': () => [running], 'job.get': () => running }))
    const store = useRunStore()
    await store.recover()
    expect(store.current?.state).toEqual({ kind: 'running', stage: 'calibrate' })
  })

  it('draws throughput only from snapshots that have a rate', async () => {
    const api = createFakeApi(HANDLERS)
    setApi(api)
    const store = useRunStore()
    store.listen(() => undefined)
    await store.begin(input)
    api.emit('job.snapshot', makeSnapshot({ sequence: 2, elapsedMs: 100 }))
    api.emit('job.snapshot', makeSnapshot({ sequence: 3, elapsedMs: 200, bytesPerSecond: 50 }))
    expect([...store.throughput.y]).toEqual([50])
  })
})
