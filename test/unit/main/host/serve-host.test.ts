import { MessageChannel } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { hostEnvironment, stripEnvironment } from '../../../../main/host/host-environment.ts'
import type { HostMessage } from '../../../../main/host/host-api.ts'
import { serveHost } from '../../../../main/host/serve-host.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { createFakeHost } from '../../../fakes/fake-host.ts'

test('requests are answered over a real port, errors with their codes; noise is ignored', async () => {
  const { port1, port2 } = new MessageChannel()
  const host = createFakeHost({
    'plan.make': () =>
      Promise.reject(new AppError('RECIPE_UNKNOWN', { subject: 's', problem: 'p', remedy: 'r' })),
    'job.list': () => {
      throw new Error('thrown before a promise exists')
    },
  })
  serveHost(
    {
      post: (message) => {
        port2.postMessage(message)
      },
      listen: (listener) => {
        port2.on('message', listener)
      },
    },
    host.api,
  )
  const received: HostMessage[] = []
  const complete = new Promise<void>((resolve) => {
    port1.on('message', (message: HostMessage) => {
      received.push(message)
      if (received.length === 4) resolve()
    })
  })
  for (const noise of [
    null,
    'text',
    { kind: 'request' },
    { kind: 'request', seq: 9, route: 'constructor', input: 1 },
  ])
    port1.postMessage(noise)
  port1.postMessage({ kind: 'request', seq: 1, route: 'recipe.list', input: {} })
  port1.postMessage({ kind: 'request', seq: 2, route: 'plan.make', input: {} })
  port1.postMessage({ kind: 'request', seq: 3, route: 'job.list', input: {} })
  await complete
  port1.close()
  expect(received[0]).toEqual({ kind: 'ready' })
  const replies = new Map(received.slice(1).map((message) => ['seq' in message ? message.seq : 0, message]))
  expect(replies.get(1)).toEqual({ kind: 'reply', seq: 1, ok: true, value: [] })
  expect(replies.get(2)).toMatchObject({ ok: false, error: { code: 'RECIPE_UNKNOWN', subject: 's' } })
  expect(replies.get(3)).toMatchObject({ ok: false, error: { code: 'INVARIANT' } })
})

// An inherited NODE_OPTIONS or LD_PRELOAD would run foreign code in the process that reads checkpoints.
test('the host gets a fixed list of variables', () => {
  const given = {
    HOME: '/home/x',
    NODE_OPTIONS: '--require evil',
    LD_PRELOAD: 'x',
    VK_ICD_FILENAMES: 'icd',
    EMPTY: undefined,
  }
  expect(hostEnvironment(given)).toEqual({ HOME: '/home/x', VK_ICD_FILENAMES: 'icd' })
  const own: Record<string, string | undefined> = { ...given, ELECTRON_RUN_AS_NODE: '1' }
  stripEnvironment(own)
  expect(own).toEqual({ HOME: '/home/x', VK_ICD_FILENAMES: 'icd' })
})
