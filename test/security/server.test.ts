import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { networkInterfaces } from 'node:os'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { EventHub } from '../../main/ipc/event-hub.ts'
import { startServer, type RunningServer } from '../../main/serve/start-server.ts'
import { createFakeHost, fakeSnapshot, type FakeHost } from '../fakes/fake-host.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

let server: RunningServer
let host: FakeHost
let events: EventHub
let home = ''

beforeEach(async () => {
  home = await realpath(await temporaryFolder())
  await mkdir(join(home, 'renderer'))
  await mkdir(join(home, 'sample'))
  await writeFile(join(home, 'renderer', 'index.html'), '<p>start</p>')
  await writeFile(join(home, 'secret.json'), '{}')
  await writeFile(join(home, 'sample', 'config.json'), '{}')
  host = createFakeHost()
  events = new EventHub()
  server = await startServer({
    host: host.api,
    events,
    rendererFolder: join(home, 'renderer'),
    sampleFolder: join(home, 'sample'),
    version: '0.0.0',
    cpuCount: 2,
    homeFolder: home,
    folders: [home],
  })
})

afterEach(() => server.close())

/** Not fetch: it refuses to send some of the headers that an attacker can. */
function ask(
  path: string,
  {
    method = 'GET',
    headers = {},
    body,
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: '127.0.0.1', port: server.port, path, method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => {
        const { statusCode = 0, headers: got } = response
        resolve({ status: statusCode, headers: got, text: Buffer.concat(chunks).toString() })
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const tokenPath = (): string => server.url.slice(server.url.indexOf('/?'))

async function enter(): Promise<string> {
  const { headers } = await ask(tokenPath())
  return headers['set-cookie']?.[0]?.split(';')[0] ?? ''
}

const own = (cookie: string): Record<string, string> => ({
  Cookie: cookie,
  Origin: `http://127.0.0.1:${String(server.port)}`,
  'Content-Type': 'application/json',
})

const post = (route: string, input: unknown, headers: Record<string, string>): Promise<Answer> =>
  ask('/api/request', { method: 'POST', headers, body: JSON.stringify({ route, input }) })

test('the printed address is on the loopback address and carries 256 random bits', () => {
  expect(server.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?token=[A-Za-z0-9_-]{43}$/)
})

// Section 5.2, browser UI. Without the token nothing is answered and nothing is done.
test.each([
  ['GET', '/'],
  ['GET', '/index.html'],
  ['GET', '/?token='],
  ['GET', '/?token=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
  ['GET', '/api/events'],
  ['GET', '/missing'],
  ['HEAD', '/'],
  ['OPTIONS', '/api/request'],
])('%s %s without token or cookie gives 401', async (method, path) => {
  const origin = { Origin: `http://127.0.0.1:${String(server.port)}` }
  const answer = await ask(path, { method, headers: origin })
  expect(answer.status).toBe(401)
  expect(answer.text).not.toContain('start')
  expect(answer.headers['set-cookie']).toBeUndefined()
  expect(host.calls).toEqual([])
})

test('a request without a cookie gives 401 and reaches nothing, even with the valid token in its address', async () => {
  const answer = await ask(`/api/request${tokenPath().slice(1)}`, {
    method: 'POST',
    headers: own(''),
    body: JSON.stringify({ route: 'job.list', input: {} }),
  })
  expect(answer.status).toBe(401)
  expect(host.calls).toEqual([])
})

test('a refused body is not read: the answer comes before it was sent, and the connection closes', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const socket = connect(server.port, '127.0.0.1')
    let received = ''
    const origin = `http://127.0.0.1:${String(server.port)}`
    socket.write(
      `POST /api/request HTTP/1.1\r\nHost: 127.0.0.1:${String(server.port)}\r\nOrigin: ${origin}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{',
    )
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()))
    socket.on('close', () => {
      resolve(received)
    })
    socket.on('error', reject)
  })
  expect(text).toMatch(/^HTTP\/1\.1 401 /)
})

test('the token works once; the browser that used it may reload, another one may not', async () => {
  const path = tokenPath()
  const first = await ask(path)
  expect(first.status).toBe(200)
  expect(first.text).toBe('<p>start</p>')
  expect(first.headers['set-cookie']?.[0]).toMatch(
    new RegExp(`^quantmill_${String(server.port)}=[A-Za-z0-9_-]{43}; HttpOnly; SameSite=Strict; Path=/$`),
  )
  const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
  expect(cookie).not.toContain(new URL(server.url).searchParams.get('token') ?? '?')
  expect((await ask(path)).status).toBe(401)
  expect((await ask(path, { headers: { Cookie: cookie } })).status).toBe(200)
  expect((await ask('/', { headers: { Cookie: cookie } })).status).toBe(200)
})

// DNS rebinding: the attacker's page has the attacker's name in Host, whatever address it resolves to.
test.each([
  'example.org',
  'example.org:80',
  '127.0.0.1',
  '127.0.0.1:1',
  '127.0.0.1.example.org',
  'localhost.example.org',
])('Host "%s" is refused, even with a valid cookie, and does not use up the token', async (name) => {
  expect((await ask(tokenPath(), { headers: { Host: name } })).status).toBe(403)
  const cookie = await enter()
  expect((await ask('/', { headers: { Cookie: cookie, Host: name } })).status).toBe(403)
})

test.each([
  ['a foreign origin', { Origin: 'https://example.org' }],
  ['an opaque origin', { Origin: 'null' }],
  ['another port', { Origin: 'http://127.0.0.1:1' }],
  ['another scheme', { Origin: 'https://127.0.0.1' }],
  ['a cross-site fetch', { 'Sec-Fetch-Site': 'cross-site' }],
  ['a same-site fetch', { 'Sec-Fetch-Site': 'same-site' }],
])('%s cannot use the cookie', async (_what, headers) => {
  const cookie = await enter()
  const answer = await post('job.list', {}, { ...own(cookie), ...headers })
  expect(answer.status).toBe(403)
  expect(host.calls).toEqual([])
})

test('a POST without Origin is refused: no browser sends one', async () => {
  const cookie = await enter()
  const answer = await post('job.list', {}, { Cookie: cookie, 'Content-Type': 'application/json' })
  expect(answer.status).toBe(403)
  expect(host.calls).toEqual([])
})

test.each([
  ['a wrong cookie value', (cookie: string) => `${cookie.slice(0, -1)}_`],
  ['a cookie of another port', (cookie: string) => cookie.replace(/^quantmill_\d+/, 'quantmill_1')],
  ['an empty cookie', (cookie: string) => cookie.replace(/=.*/, '=')],
])('%s gives 401', async (_what, change) => {
  const cookie = change(await enter())
  expect((await ask('/', { headers: { Cookie: cookie } })).status).toBe(401)
})

test('with the cookie the contract is served, in its envelope', async () => {
  const answer = await post('app.get_info', {}, own(await enter()))
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.text)).toEqual({
    ok: true,
    value: {
      version: '0.0.0',
      surface: 'browser',
      hasNativeDialogs: false,
      hasSample: true,
      cpuCount: 2,
    },
  })
})

test('input is checked as in the window', async () => {
  const answer = await post('checkpoint.open', { grantId: '/etc' }, own(await enter()))
  expect(JSON.parse(answer.text)).toMatchObject({ ok: false, error: { code: 'REQUEST_INVALID' } })
  expect(host.calls).toEqual([])
})

test('the system dialog does not exist here', async () => {
  const answer = await post('grant.pick', { purpose: 'checkpoint' }, own(await enter()))
  expect(JSON.parse(answer.text)).toMatchObject({ ok: false, error: { code: 'REQUEST_INVALID' } })
})

test.each([
  ['text that is no JSON', '{', {}, 400],
  ['JSON that is no message', '[]', {}, 400],
  ['a form', 'route=job.list', { 'Content-Type': 'application/x-www-form-urlencoded' }, 415],
  ['plain text, which needs no permission across origins', '{}', { 'Content-Type': 'text/plain' }, 415],
  ['a body over the bound', `"${'x'.repeat(4 * 1024 * 1024)}"`, {}, 413],
  [
    'a body over the bound without a length',
    `"${'x'.repeat(4 * 1024 * 1024)}"`,
    { 'Transfer-Encoding': 'chunked' },
    413,
  ],
])('%s is refused', async (_what, body, headers, status) => {
  const cookie = await enter()
  const answer = await ask('/api/request', {
    method: 'POST',
    headers: { ...own(cookie), ...headers },
    body,
  }).catch((error: unknown) => error as NodeJS.ErrnoException)
  // The server closes before everything was sent; on a fast machine the client may see that first.
  if (answer instanceof Error) expect(['EPIPE', 'ECONNRESET']).toContain(answer.code)
  else expect(answer.status).toBe(status)
  expect(host.calls).toEqual([])
})

test.each([
  '/../secret.json',
  '/..%2fsecret.json',
  '/%2e%2e/secret.json',
  '//127.0.0.1/../secret.json',
  '/missing.js',
])('%s is not served', async (path) => {
  const cookie = await enter()
  expect([400, 404]).toContain((await ask(path, { headers: { Cookie: cookie } })).status)
})

test('every answer carries the policy of the window', async () => {
  const cookie = await enter()
  for (const answer of [
    await ask('/', { headers: { Cookie: cookie } }),
    await ask('/missing', { headers: { Cookie: cookie } }),
    await ask('/'),
    await post('job.list', {}, own(cookie)),
  ]) {
    expect(answer.headers['content-security-policy']).toContain("default-src 'none'")
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  }
})

test('events arrive as a stream, and closing the server ends it', async () => {
  const cookie = await enter()
  const stream = new Promise<string>((resolve, reject) => {
    const headers = { Cookie: cookie }
    httpRequest({ host: '127.0.0.1', port: server.port, path: '/api/events', headers }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('close', () => {
        resolve(text)
      })
      events.emit('job.snapshot', fakeSnapshot('j_1', { sequence: 7 }))
      setImmediate(() => void server.close())
    })
      .on('error', reject)
      .end()
  })
  const text = await stream
  expect(text).toContain('event: job.snapshot\ndata: {"jobId":"j_1","sequence":7,')
})

test('it listens on the loopback address only', async ({ skip }) => {
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)
  if (outside === undefined) return skip('this machine has no address but loopback')
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect(server.port, outside.address)
    socket.on('connect', () => {
      socket.destroy()
      resolve('connected')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code)
    })
  })
  expect(code).not.toBe('connected')
})
