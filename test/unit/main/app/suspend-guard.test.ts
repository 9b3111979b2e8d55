/** A run that sleeps with a busy device, one that does not wake, and one that wakes although its user had paused it would show here. */
import { expect, test } from 'vitest'
import { SuspendGuard } from '../../../../main/app/suspend-guard.ts'
import { createFakeHost, fakeSnapshot } from '../../../fakes/fake-host.ts'

const guardOf = (states: Record<string, 'running' | 'paused'>) => {
  const host = createFakeHost({
    'job.list': () =>
      Promise.resolve(
        Object.entries(states).map(([id, kind]) => fakeSnapshot(id, { state: { kind, stage: 'calibrate' } })),
      ),
  })
  const asked = (): string[] =>
    host.calls
      .filter(({ route }) => route !== 'job.list')
      .map(({ route, input }) => `${route} ${JSON.stringify(input)}`)
  return { guard: new SuspendGuard(host.api), asked }
}

test('what runs is paused, and only that continues', async () => {
  const { guard, asked } = guardOf({ j_1: 'running', j_2: 'paused' })
  await guard.suspend()
  await guard.resume()
  await guard.resume()
  expect(asked()).toEqual(['job.pause {"jobId":"j_1"}', 'job.continue {"jobId":"j_1"}'])
})

test('a wake-up that comes before the pause was asked for waits for it', async () => {
  const { guard, asked } = guardOf({ j_1: 'running' })
  await Promise.all([guard.suspend(), guard.resume()])
  expect(asked()).toEqual(['job.pause {"jobId":"j_1"}', 'job.continue {"jobId":"j_1"}'])
})
