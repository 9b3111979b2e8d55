/**
 * The window's stand-in for machines without Electron or without a display: the same renderer and the same contract over HTTP on the loopback
 * address. Nothing is read or done for a request that the gate refuses.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { AppError } from '../../shared/errors/app-error.ts'
import type { HostApi } from '../host/host-api.ts'
import type { EventHub } from '../ipc/event-hub.ts'
import { createHandlers } from '../ipc/handlers/all.ts'
import { Router, type ErrorLog } from '../ipc/router.ts'
import { PathGrants } from '../security/path-grants.ts'
import { readRendererFile } from '../security/renderer-files.ts'
import { SECURITY_HEADERS } from '../security/response-headers.ts'
import type { UserData } from '../user-data/user-data.ts'
import { EventStreams } from './event-streams.ts'
import { FolderList } from './folder-list.ts'
import { readJsonBody } from './request-body.ts'
import { SessionGate } from './session-gate.ts'

export interface ServerOptions {
  readonly host: HostApi
  /** The hub that the host's events were given to. */
  readonly events: EventHub
  readonly rendererFolder: string
  readonly sampleFolder: string
  readonly version: string
  readonly cpuCount: number
  /** @default 0: any free port */
  readonly port?: number | undefined
  /** @default the user's home */
  readonly homeFolder?: string | undefined
  /** Folders that the folder list offers. @default home and working directory */
  readonly folders?: readonly string[] | undefined
  /** Offered as well: paths that the user gave on the command line. @default none */
  readonly open?: readonly string[] | undefined
  /** Where exports go that cannot lie beside their checkpoint. @default `Quantmill` in the home folder */
  readonly exportsFolder?: string | undefined
  /** Settings and library. @default kept until the end of the process only */
  readonly userData?: UserData | undefined
  /** @default nothing is logged */
  readonly logError?: ErrorLog | undefined
}

export interface RunningServer {
  /** With the one-time token. */
  readonly url: string
  readonly port: number
  /** Ends every connection; resolves when the port is free. The host is the caller's. */
  close(): Promise<void>
}

interface Parts {
  readonly gate: SessionGate
  readonly router: Router
  readonly streams: EventStreams
  readonly rendererFolder: string
}

/** Listens on 127.0.0.1. Throws PERMISSION_DENIED when the port is taken or not allowed. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: 30_000, headersTimeout: 10_000 })
  const port = await listen(server, options.port ?? 0)
  const gate = new SessionGate(port)
  const streams = new EventStreams(options.events)
  const parts = { gate, router: makeRouter(options), streams, rendererFolder: options.rendererFolder }
  server.maxConnections = 128
  server.on('request', (request, response) => {
    answer(request, response, parts).catch((thrown: unknown) => {
      options.logError?.('http', AppError.from(thrown))
      if (response.headersSent) response.destroy()
      else refuse(response, 500)
    })
  })
  return {
    url: `http://127.0.0.1:${String(port)}/?token=${gate.token ?? ''}`,
    port,
    close: () => {
      streams.close()
      return new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      })
    },
  }
}

function makeRouter(options: ServerOptions): Router {
  const homeFolder = options.homeFolder ?? homedir()
  const grants = new PathGrants({ homeFolder })
  const roots = [
    ...(options.open ?? []),
    ...(options.folders ?? [process.cwd(), homeFolder]),
    options.sampleFolder,
  ]
  const handlers = createHandlers({
    kind: 'browser',
    version: options.version,
    cpuCount: options.cpuCount,
    grants,
    host: options.host,
    sampleFolder: options.sampleFolder,
    userData: options.userData,
    exportsFolder: options.exportsFolder ?? join(homeFolder, 'Quantmill'),
    folders: new FolderList({ roots, display: (path) => grants.display(path) }),
  })
  return new Router(handlers, options.logError ?? (() => undefined))
}

async function answer(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
  const target = request.url ?? '/'
  const url = URL.canParse(target, 'http://127.0.0.1') ? new URL(target, 'http://127.0.0.1') : undefined
  // An absolute or scheme-relative target ("//host/") would bring its own host.
  if (url?.host !== '127.0.0.1') {
    refuse(response, 400)
    return
  }
  const method = request.method ?? ''
  const token = url.searchParams.get('token') ?? undefined
  const verdict = parts.gate.admit({ method, pathname: url.pathname, token, headers: request.headers })
  if (verdict.kind === 'refused') {
    refuse(response, verdict.status)
    return
  }
  if (verdict.setCookie !== undefined) response.setHeader('Set-Cookie', verdict.setCookie)
  switch (`${method} ${url.pathname}`) {
    case 'POST /api/request':
      await answerRequest(request, response, parts.router)
      return
    case 'GET /api/events':
      if (!parts.streams.open(response, SECURITY_HEADERS)) refuse(response, 503)
      return
    default:
      if (method === 'GET') await answerFile(url.pathname, response, parts.rendererFolder)
      else refuse(response, 405)
  }
}

async function answerRequest(
  request: IncomingMessage,
  response: ServerResponse,
  router: Router,
): Promise<void> {
  const body = await readJsonBody(request)
  if (body.kind === 'refused') {
    refuse(response, body.status)
    return
  }
  const { value } = body
  const isMessage = typeof value === 'object' && value !== null && 'route' in value && 'input' in value
  if (!isMessage) {
    refuse(response, 400)
    return
  }
  const reply = await router.handle(value.route, value.input)
  response.writeHead(200, { ...SECURITY_HEADERS, 'Content-Type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(reply))
}

async function answerFile(pathname: string, response: ServerResponse, rendererFolder: string): Promise<void> {
  const file = await readRendererFile(rendererFolder, pathname)
  if (file === undefined) {
    refuse(response, 404)
    return
  }
  response.writeHead(200, { ...SECURITY_HEADERS, 'Content-Type': file.contentType })
  response.end(file.bytes)
}

/** Closes the connection: a body that is still on its way is not read. */
function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { ...SECURITY_HEADERS, 'Content-Type': 'text/plain', Connection: 'close' })
  response.end(status === 401 ? '401: open the address that Quantmill printed.\n' : `${String(status)}\n`)
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const problem = `it cannot be opened (${error.message})`
      const subject = `port ${String(port)}`
      reject(new AppError('PERMISSION_DENIED', { subject, problem, remedy: 'choose another port' }))
    })
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
