import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { setApi } from '../../../../../renderer/src/bridge/api.ts'
import { createFakeApi } from '../../../../../renderer/src/bridge/fake.ts'
import { shownPlan, useRecipeStore } from '../../../../../renderer/src/features/recipe/useRecipeStore.ts'
import type { PlanSummary } from '../../../../../shared/domain/plan-summary.ts'
import type { PreflightReport } from '../../../../../shared/domain/preflight.ts'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { makeDeferred, makeGrant, makePlan } from '../../snapshots.ts'

const { grantId } = makeGrant('tiny')
const subject = { grantId, checkpointName: 'tiny', totalBytes: 1000, isSample: false }

beforeEach(() => {
  setActivePinia(createPinia())
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('useRecipeStore', () => {
  it('plans the recommended recipe as soon as a checkpoint is there', async () => {
    const api = createFakeApi({ 'plan.make': ({ options }) => makePlan({ recipe: options.recipe }) })
    setApi(api)
    const store = useRecipeStore()
    expect(store.canStart).toBe(false)
    await store.begin(subject)
    expect(store.plan).toMatchObject({ kind: 'ready', plan: { recipe: 'nvfp4_experts_only-kv_fp8' } })
    expect(store.outputName).toBe('tiny-nvfp4_experts_only-kv_fp8')
    expect(store.canStart).toBe(true)
  })

  it('plans once after a burst of changes and cannot start meanwhile', async () => {
    const api = createFakeApi({ 'plan.make': ({ options }) => makePlan({ recipe: options.recipe }) })
    setApi(api)
    const store = useRecipeStore()
    await store.begin(subject)
    store.update({ samples: '2' })
    store.update({ samples: '20' })
    store.update({ recipe: 'fp8' })
    expect(store.canStart).toBe(false)
    expect(shownPlan(store.plan)?.recipe).toBe('nvfp4_experts_only-kv_fp8')
    await vi.runAllTimersAsync()
    expect(store.plan).toMatchObject({ kind: 'ready', plan: { recipe: 'fp8' } })
    expect(api.requests.filter(({ route }) => route === 'plan.make')).toHaveLength(2)
  })

  it('never shows an older plan over a newer one', async () => {
    const slow = makeDeferred<PlanSummary>()
    let calls = 0
    setApi(
      createFakeApi({
        'plan.make': ({ options }) => {
          calls += 1
          return calls === 2 ? slow.promise : makePlan({ recipe: options.recipe })
        },
      }),
    )
    const store = useRecipeStore()
    await store.begin(subject)
    store.update({ recipe: 'slow' })
    await vi.runAllTimersAsync()
    store.update({ recipe: 'fast' })
    await vi.runAllTimersAsync()
    slow.resolve(makePlan({ recipe: 'slow' }))
    await vi.runAllTimersAsync()
    expect(store.plan).toMatchObject({ kind: 'ready', plan: { recipe: 'fast' } })
  })

  it('does not send invalid options, and plans again once they are valid', async () => {
    const api = createFakeApi({ 'plan.make': () => makePlan() })
    setApi(api)
    const store = useRecipeStore()
    await store.begin(subject)
    store.update({ samples: 'x' })
    await vi.runAllTimersAsync()
    expect(store.plan.kind).toBe('invalid')
    expect(api.requests.filter(({ route }) => route === 'plan.make')).toHaveLength(1)
    store.update({ samples: '8' })
    await vi.runAllTimersAsync()
    expect(store.plan.kind).toBe('ready')
  })

  it('shows why a plan cannot be made and does not start it', async () => {
    setApi(
      createFakeApi({
        'plan.make': () => {
          throw new AppError('BLOCK_SIZE_UNSUPPORTED', { subject: 's', problem: 'p', remedy: 'r' })
        },
      }),
    )
    const store = useRecipeStore()
    await store.begin(subject)
    expect(store.plan).toMatchObject({ kind: 'failed', error: { code: 'BLOCK_SIZE_UNSUPPORTED' } })
    expect(store.canStart).toBe(false)
  })

  // The list must be about the plan in view: an answer to an older draft would name problems that are repaired.
  it('shows what stands in the way of the newest plan, and what the check itself says', async () => {
    const problem = {
      severity: 'error',
      code: 'DISK_FULL',
      subject: '/out',
      problem: 'no room',
      remedy: 'make some',
    } as const
    const slow = makeDeferred<PreflightReport>()
    let calls = 0
    const api = createFakeApi({
      'plan.make': () => makePlan(),
      'job.preflight': () => {
        calls += 1
        if (calls === 1) return slow.promise
        if (calls === 2) return { problems: [problem] }
        throw new AppError('PERMISSION_DENIED', { ...problem, subject: '/locked' })
      },
    })
    setApi(api)
    const store = useRecipeStore()
    const first = store.begin(subject)
    await vi.runAllTimersAsync()
    store.update({ samples: '2' })
    await vi.runAllTimersAsync()
    expect(store.preflight).toEqual([problem])
    slow.resolve({ problems: [] })
    await first
    expect(store.preflight).toEqual([problem])
    store.update({ samples: '3' })
    await vi.runAllTimersAsync()
    expect(store.preflight).toMatchObject([{ code: 'PERMISSION_DENIED', subject: '/locked' }])
  })

  it('begins with what the settings say, and leaves 0 bytes of memory to the engine', async () => {
    const api = createFakeApi({ 'plan.make': () => makePlan(), 'job.preflight': () => ({ problems: [] }) })
    setApi(api)
    const store = useRecipeStore()
    const outputGrant = makeGrant('exports', 'output')
    await store.begin(subject)
    expect(store.startInput()?.options.memoryBytes).toBeUndefined()
    store.setDefaults({ device: 'cpu', workers: 3, memoryLimitBytes: 3 * 2 ** 29, outputGrant })
    expect(store.startInput()?.options).toMatchObject({ device: 'auto' })
    await store.begin(subject)
    expect(store.draft.memoryGibibytes).toBe('1.5')
    expect(store.startInput()).toMatchObject({
      outputGrantId: outputGrant.grantId,
      options: { device: 'cpu', workers: 3, memoryBytes: 3 * 2 ** 27 },
    })
  })
})
