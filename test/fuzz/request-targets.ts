/** Messages of the window and requests to the browser server: any value, any bytes. */
import { mkdir, realpath, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { EventHub } from '../../main/ipc/event-hub.ts'
import { createHandlers } from '../../main/ipc/handlers/all.ts'
import { Router } from '../../main/ipc/router.ts'
import { PathGrants } from '../../main/security/path-grants.ts'
import { startServer } from '../../main/serve/start-server.ts'
import { REQUEST_SCHEMAS } from '../../shared/contract/schemas.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import { DEFAULT_RUN_OPTIONS } from '../../shared/domain/run-options.ts'
import { createFakeHost } from '../fakes/fake-host.ts'
import { temporaryFolder } from '../tools/temporary-folder.ts'
import { decode, encode, type FuzzTarget } from './target.ts'

/** A server that has not answered after this, although we have ended our side, hangs. */
const ANSWER_MS = 20_000
/** So long we wait for the answer to a request that may be incomplete. */
const QUIET_MS = 10

const OPTIONS = { ...DEFAULT_RUN_OPTIONS, recipe: 'nvfp4' }
/** Inputs of the contract's shapes; most routes take one of them. */
const inputsWith = (grantId: string): readonly object[] => [
  {},
  { grantId },
  { jobId: 'j_1' },
  { checkId: 'v_1' },
  { grantId, options: OPTIONS },
  { grantId, filter: 'a', offset: 0, limit: 10 },
  { grantId, options: OPTIONS, outputName: 'out' },
  { purpose: 'checkpoint' },
  { change: { theme: 'dark' } },
]

/** The fake host's result of a check is no whole report. */
const NO_RESULT = {
  'check.result': () =>
    Promise.reject(new AppError('JOB_UNKNOWN', { subject: 'check', problem: 'unknown', remedy: 'none' })),
}

async function home(): Promise<string> {
  const folder = await realpath(await temporaryFolder())
  for (const name of ['model', 'sample', 'renderer', 'exports']) await mkdir(join(folder, name))
  await writeFile(join(folder, 'renderer', 'index.html'), '<p>start</p>')
  return folder
}

/** The answer must be an envelope, and never a defect of the program. */
export async function ipcTarget(): Promise<FuzzTarget> {
  const folder = await home()
  const grants = new PathGrants({ homeFolder: folder })
  const { grantId } = await grants.grant(join(folder, 'model'), 'checkpoint')
  const handlers = createHandlers({
    kind: 'electron',
    version: '0.0.0',
    cpuCount: 2,
    grants,
    host: createFakeHost(NO_RESULT).api,
    sampleFolder: join(folder, 'sample'),
    exportsFolder: join(folder, 'exports'),
  })
  const router = new Router(handlers, () => undefined)
  return {
    name: 'ipc',
    kinds: [],
    seeds: Object.keys(REQUEST_SCHEMAS).flatMap((route) =>
      inputsWith(grantId).map((input) => encode(JSON.stringify([route, input]))),
    ),
    async run(bytes) {
      let message: unknown
      try {
        message = JSON.parse(decode(bytes))
      } catch {
        message = [decode(bytes), decode(bytes)]
      }
      const [route, input] = Array.isArray(message) ? (message as unknown[]) : [message, message]
      const reply = await router.handle(route, input)
      if (!reply.ok && reply.error.code === 'INVARIANT')
        throw new Error(`${reply.error.subject}: ${reply.error.problem}`)
      return reply.ok ? 'answered' : reply.error.code
    },
  }
}

const REQUESTS = [
  ['job.list', {}],
  ['app.get_info', {}],
  ['folder.list', {}],
  ['checkpoint.open', { grantId: 'g_12345678' }],
  ['job.start', { grantId: 'g_12345678', options: OPTIONS, outputName: 'out' }],
] as const

/** The length that the body has, so that the server waits for nothing and reads all of it. */
function withContentLength(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const text = Buffer.from(bytes).toString('latin1')
  const body = text.indexOf('\r\n\r\n') + 4
  const repaired = text.replace(/Content-Length: \d+/, `Content-Length: ${String(text.length - body)}`)
  return Uint8Array.from(Buffer.from(repaired, 'latin1'))
}

/** One connection for each input. The server must answer below 500 or close, and reach the host with nothing that no schema allows. */
export async function httpTarget(): Promise<FuzzTarget> {
  const folder = await home()
  const server = await startServer({
    host: createFakeHost(NO_RESULT).api,
    events: new EventHub(),
    rendererFolder: join(folder, 'renderer'),
    sampleFolder: join(folder, 'sample'),
    version: '0.0.0',
    cpuCount: 2,
    homeFolder: folder,
    folders: [folder],
  })
  const { port } = server
  const entered = await exchange(
    port,
    encode(
      `GET ${server.url.slice(server.url.indexOf('/?'))} HTTP/1.1\r\nHost: 127.0.0.1:${String(port)}\r\n\r\n`,
    ),
    ANSWER_MS / 2,
  )
  const cookie = /^set-cookie: ([^;]+)/im.exec(entered)?.[1] ?? ''
  const head = `Host: 127.0.0.1:${String(port)}\r\nOrigin: http://127.0.0.1:${String(port)}\r\nCookie: ${cookie}\r\n`
  const post = ([route, input]: readonly [string, object]): Uint8Array => {
    const body = JSON.stringify({ route, input })
    return encode(
      `POST /api/request HTTP/1.1\r\n${head}Content-Type: application/json\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`,
    )
  }
  return {
    name: 'http',
    kinds: [],
    repair: withContentLength,
    seeds: [
      encode(`GET / HTTP/1.1\r\n${head}\r\n`),
      encode(`GET /api/events HTTP/1.1\r\n${head}\r\n`),
      encode(
        `GET /index.html HTTP/1.1\r\n${head}Connection: keep-alive\r\n\r\nGET / HTTP/1.1\r\n${head}\r\n`,
      ),
      ...REQUESTS.map(post),
    ],
    async run(bytes) {
      const text = await exchange(port, bytes)
      const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
      if (status === undefined) return text === '' ? 'closed' : 'other'
      if (Number(status) >= 500 && status !== '505') throw new Error(text.slice(0, 300))
      return status
    },
    close: () => server.close(),
  }
}

/**
 * Sends, and ends our side when an answer begins or none does for a moment: a server that waits for the rest of a request then closes. Returns
 * what came back. An open event stream is cut by us.
 */
function exchange(port: number, bytes: Uint8Array, quietMs = QUIET_MS): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(port, '127.0.0.1')
    const quiet = setTimeout(() => socket.end(), quietMs)
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end after ${String(ANSWER_MS)} ms; so far: ${text.slice(0, 200)}`))
    }, ANSWER_MS)
    socket.on('connect', () => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.includes('text/event-stream')) socket.destroy()
      else socket.end()
    })
    // A reset is an answer: the server closes while we still send.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(quiet)
      clearTimeout(late)
      resolve(text)
    })
  })
}
