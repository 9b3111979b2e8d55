import { expect, test } from 'vitest'
import { HostClient } from '../../../../main/host/client.ts'
import type { JobId, JobSnapshot } from '../../../../shared/domain/job.ts'
import { FakeHostProcess } from '../../../fakes/fake-host-process.ts'
import { fakeSnapshot } from '../../../fakes/fake-host.ts'

interface Made {
  readonly client: HostClient
  readonly processes: FakeHostProcess[]
  readonly events: [string, unknown][]
}

function make(options: { readonly shutdownTimeoutMs?: number } = {}): Made {
  const processes: FakeHostProcess[] = []
  const events: [string, unknown][] = []
  const client = new HostClient({
    ...options,
    start: () => {
      const started = new FakeHostProcess()
      processes.push(started)
      return started
    },
    emit: (event, payload) => events.push([event, payload]),
    log: () => undefined,
  })
  return { client, processes, events }
}

/** Requests are posted one turn after the call. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const jobId = 'j_1' as JobId

test('the process starts with the first request; replies find their requests by number, in any order', async () => {
  const { client, processes } = make()
  expect(processes).toHaveLength(0)
  const recipes = client.api['recipe.list']({})
  const jobs = client.api['job.list']({})
  await turn()
  expect(processes).toHaveLength(1)
  const [first, second] = processes[0].posted
  expect([first?.route, second?.route]).toEqual(['recipe.list', 'job.list'])
  processes[0].say({ kind: 'reply', seq: second?.seq ?? 0, ok: true, value: [fakeSnapshot('j_2')] })
  processes[0].say({ kind: 'reply', seq: first?.seq ?? 0, ok: true, value: [] })
  expect(await recipes).toEqual([])
  expect(await jobs).toMatchObject([{ jobId: 'j_2' }])
})

test('an error of the host arrives with its code', async () => {
  const { client, processes } = make()
  const opened = client.api['checkpoint.open']({ checkpointPath: '/model' })
  await turn()
  const { seq = 0 } = processes[0].posted[0] ?? {}
  const error = { code: 'SHARD_MISSING', kind: 'data', subject: 's', problem: 'p', remedy: 'r' } as const
  processes[0].say({ kind: 'reply', seq, ok: false, error })
  await expect(opened).rejects.toMatchObject({ code: 'SHARD_MISSING', subject: 's' })
})

// A crash must not leave a caller waiting or a job running for ever.
test('a crash fails what waits and what runs, and the next request starts a new process', async () => {
  const { client, processes, events } = make()
  const waiting = client.api['device.list']({})
  await turn()
  processes[0].say({ kind: 'event', event: 'job.snapshot', payload: fakeSnapshot('j_1', { sequence: 4 }) })
  processes[0].say({
    kind: 'event',
    event: 'job.log',
    payload: { jobId, timeMs: 1, level: 'info', message: 'hello' },
  })
  expect(client.runningJobCount).toBe(1)
  processes[0].exit(134)
  await expect(waiting).rejects.toMatchObject({ code: 'HOST_CRASHED' })
  expect(client.runningJobCount).toBe(0)
  expect(events.at(-1)).toMatchObject([
    'job.snapshot',
    {
      jobId: 'j_1',
      sequence: 5,
      state: { kind: 'failed', error: { code: 'HOST_CRASHED' } },
      activeLayer: undefined,
    },
  ])
  expect(await client.api['job.get']({ jobId })).toMatchObject({ state: { kind: 'failed' } })
  expect(await client.api['job.get_log']({ jobId })).toMatchObject([{ message: 'hello' }])
  await client.api['job.cancel']({ jobId })

  const jobs = client.api['job.list']({})
  await turn()
  expect(processes).toHaveLength(2)
  processes[1].say({ kind: 'reply', seq: processes[1].posted[0]?.seq ?? 0, ok: true, value: [] })
  expect((await jobs).map((snapshot: JobSnapshot) => snapshot.jobId)).toEqual(['j_1'])
})

test('a finished job survives a crash as it was', async () => {
  const { client, processes, events } = make()
  void client.api['recipe.list']({}).catch(() => undefined)
  await turn()
  const snapshot = fakeSnapshot('j_1', { state: { kind: 'cancelled' } })
  processes[0].say({ kind: 'event', event: 'job.snapshot', payload: fakeSnapshot('j_1') })
  processes[0].say({ kind: 'event', event: 'job.snapshot', payload: snapshot })
  processes[0].exit(1)
  expect(events.map(([, payload]) => (payload as JobSnapshot).state.kind)).toEqual(['running', 'cancelled'])
})

test('after three crashes in a row no further process is started', async () => {
  const { client, processes } = make()
  for (const expected of [1, 2, 3]) {
    const waiting = client.api['recipe.list']({})
    await turn()
    expect(processes).toHaveLength(expected)
    processes[expected - 1].exit(1)
    await expect(waiting).rejects.toMatchObject({ code: 'HOST_CRASHED' })
  }
  await expect(client.api['recipe.list']({})).rejects.toMatchObject({ code: 'HOST_CRASHED' })
  expect(processes).toHaveLength(3)
})

// Ending a process in which native code runs aborts it; the host says when that is over.
test('shutdown asks first, ends the process after the answer, and refuses later requests', async () => {
  const { client, processes } = make()
  void client.api['recipe.list']({}).catch(() => undefined)
  await turn()
  const gone = client.shutdown()
  await turn()
  const asked = processes[0].posted.at(-1)
  expect(asked?.route).toBe('host.shutdown')
  expect(processes[0].isKilled).toBe(false)
  processes[0].say({ kind: 'reply', seq: asked?.seq ?? 0, ok: true, value: undefined })
  await gone
  expect(processes[0].isKilled).toBe(true)
  await expect(client.api['recipe.list']({})).rejects.toMatchObject({ code: 'HOST_CRASHED' })
  expect(processes).toHaveLength(1)
})

test('a host that does not answer is ended as a whole', async () => {
  const { client, processes } = make({ shutdownTimeoutMs: 1 })
  void client.api['recipe.list']({}).catch(() => undefined)
  await turn()
  await client.shutdown()
  expect(processes[0].isKilled).toBe(true)
})

test('shutdown without a process does nothing', async () => {
  const { client, processes } = make()
  await client.shutdown()
  expect(processes).toEqual([])
})
