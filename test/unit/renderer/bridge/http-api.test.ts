import { expect, test } from 'vitest'
import { createFakeApi } from '../../../../renderer/src/bridge/fake.ts'
import { createHttpApi, type EventStreamLike } from '../../../../renderer/src/bridge/http-api.ts'
import { request, setApi } from '../../../../renderer/src/bridge/api.ts'
import type { JobSnapshot } from '../../../../shared/domain/job.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { fakeSnapshot } from '../../../fakes/fake-host.ts'

class FakeStream implements EventStreamLike {
  readyState = 1
  isClosed = false
  readonly #listeners = new Map<string, (event: { readonly data?: unknown }) => void>()

  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void {
    this.#listeners.set(type, listener)
  }

  close(): void {
    this.isClosed = true
  }

  fire(type: string, data?: unknown): void {
    this.#listeners.get(type)?.({ data })
  }
}

const answering =
  (value: unknown, status = 200): typeof fetch =>
  () =>
    Promise.resolve(new Response(JSON.stringify(value), { status }))

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

// JSON has no undefined: a layer that is not calibrated yet would arrive as null and break the map.
test('layers without counts are undefined again after the wire', async () => {
  const streams: FakeStream[] = []
  const api = createHttpApi({
    fetch: answering({ ok: true, value: fakeSnapshot('j_1') }),
    openStream: () => (streams[streams.length] = new FakeStream()),
  })
  const reply = await api.request('job.get', { jobId: 'j_1' })
  expect(reply.ok && reply.value.expertTokens).toEqual([[1, 2], undefined])
  const heard: JobSnapshot[] = []
  api.on('job.snapshot', (snapshot) => heard.push(snapshot))
  streams[0].fire('job.snapshot', JSON.stringify(fakeSnapshot('j_1')))
  expect(heard[0]?.expertTokens).toEqual([[1, 2], undefined])
})

test.each([
  ['a refusal of the server', answering('', 401), /it answered 401/],
  ['a server that is gone', (() => Promise.reject(new Error('refused'))) as typeof fetch, /refused/],
])('%s is an error in the envelope, not a rejection', async (_what, fetch, problem) => {
  const reply = await createHttpApi({ fetch }).request('job.list', {})
  expect(reply).toMatchObject({ ok: false, error: { code: 'HOST_CRASHED' } })
  expect(!reply.ok && reply.error.problem).toMatch(problem)
})

test('one stream serves all listeners; a stopped listener hears nothing', () => {
  const streams: FakeStream[] = []
  const api = createHttpApi({ openStream: () => (streams[streams.length] = new FakeStream()) })
  const heard: string[] = []
  const stop = api.on('job.snapshot', () => heard.push('first'))
  api.on('job.snapshot', () => heard.push('second'))
  expect(streams).toHaveLength(1)
  stop()
  streams[0].fire('job.snapshot', JSON.stringify(fakeSnapshot('j_1')))
  expect(heard).toEqual(['second'])
})

test('after an interruption the state of all jobs is asked; at the first connection it is not', async () => {
  const stream = new FakeStream()
  let requests = 0
  const api = createHttpApi({
    openStream: () => stream,
    fetch: () => {
      requests += 1
      return Promise.resolve(Response.json({ ok: true, value: [fakeSnapshot('j_1', { sequence: 8 })] }))
    },
  })
  const heard: number[] = []
  api.on('job.snapshot', ({ sequence }) => heard.push(sequence))
  stream.fire('open')
  await turn()
  expect(requests).toBe(0)
  stream.fire('error')
  stream.fire('open')
  await turn()
  expect(heard).toEqual([8])
})

test('a stream that the browser gave up is opened again', async () => {
  const streams: FakeStream[] = []
  const api = createHttpApi({ retryMs: 1, openStream: () => (streams[streams.length] = new FakeStream()) })
  api.on('job.log', () => undefined)
  streams[0].readyState = 2
  streams[0].fire('error')
  expect(streams[0].isClosed).toBe(true)
  await turn()
  expect(streams).toHaveLength(2)
})

test('request throws the error that main gave', async () => {
  const error = new AppError('GRANT_UNKNOWN', { subject: 's', problem: 'p', remedy: 'r' })
  const api = createFakeApi({
    'checkpoint.open': () => {
      throw error
    },
    'recipe.list': () => [],
  })
  setApi(api)
  expect(await request('recipe.list', {})).toEqual([])
  await expect(request('checkpoint.open', { grantId: 'g_12345678' })).rejects.toMatchObject({
    name: 'AppError',
    code: 'GRANT_UNKNOWN',
    problem: 'p',
  })
  await expect(request('job.list', {})).rejects.toMatchObject({ code: 'REQUEST_INVALID' })
  expect(api.requests.map(({ route }) => route)).toEqual(['recipe.list', 'checkpoint.open', 'job.list'])
})
