/**
 * The contract over HTTP: requests as POST, events as one Server-Sent Events stream. When the stream comes back after an interruption, the
 * state of every job is asked again, because snapshots of the meantime are gone.
 */
import type {
  AppEvents,
  EventName,
  RendererApi,
  Reply,
  RouteOutput,
} from '../../../shared/contract/routes.ts'
import type { RouteName } from '../../../shared/contract/schemas.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { EventListeners } from './event-listeners.ts'

export interface HttpApiOptions {
  /** @default window.fetch */
  readonly fetch?: typeof fetch
  /** @default creates an EventSource */
  readonly openStream?: (url: string) => EventStreamLike
  /** Before a stream that the browser gave up is opened again. @default 2000 */
  readonly retryMs?: number
}

/** The parts of EventSource that are used. */
export interface EventStreamLike {
  readonly readyState: number
  addEventListener(type: string, listener: (event: { readonly data?: unknown }) => void): void
  close(): void
}

/** EventSource.CLOSED */
const CLOSED = 2

export function createHttpApi(options: HttpApiOptions = {}): RendererApi {
  const send = options.fetch ?? ((...parts: Parameters<typeof fetch>) => fetch(...parts))
  const listeners = new EventListeners()
  let isStreaming = false

  const request = async <R extends RouteName>(route: R, input: unknown): Promise<Reply<RouteOutput<R>>> => {
    try {
      const response = await send('api/request', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ route, input }),
      })
      if (!response.ok)
        return { ok: false, error: unreachable(`it answered ${String(response.status)}`).serialise() }
      // The server is ours and built together with this file.
      return undefinedForNull(await response.json()) as Reply<RouteOutput<R>>
    } catch (error: unknown) {
      return {
        ok: false,
        error: unreachable(error instanceof Error ? error.message : 'no answer').serialise(),
      }
    }
  }

  const resynchronise = async (): Promise<void> => {
    const reply = await request('job.list', {})
    if (!reply.ok) return
    for (const snapshot of reply.value) listeners.emit('job.snapshot', snapshot)
  }

  const stream = (wasInterrupted: boolean): void => {
    const source = options.openStream?.('api/events') ?? new EventSource('api/events')
    let isInterrupted = wasInterrupted
    for (const name of EventListeners.names) {
      source.addEventListener(name, ({ data }) => {
        if (typeof data === 'string') listeners.emit(name, parsePayload(data))
      })
    }
    source.addEventListener('open', () => {
      if (isInterrupted) void resynchronise()
      isInterrupted = false
    })
    source.addEventListener('error', () => {
      isInterrupted = true
      if (source.readyState !== CLOSED) return
      source.close()
      setTimeout(stream, options.retryMs ?? 2_000, true)
    })
  }

  return {
    request,
    on(event, listener) {
      if (!isStreaming) stream(false)
      isStreaming = true
      return listeners.add(event, listener)
    },
  }
}

function parsePayload<E extends EventName>(data: string): AppEvents[E] {
  return undefinedForNull(JSON.parse(data)) as AppEvents[E]
}

/** JSON writes `undefined` inside lists as null; the contract has no null, so each one is an `undefined` again. */
function undefinedForNull(value: unknown): unknown {
  if (value === null) return undefined
  if (Array.isArray(value)) return value.map(undefinedForNull)
  if (typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, undefinedForNull(item)]))
}

function unreachable(problem: string): AppError {
  return new AppError('HOST_CRASHED', {
    subject: 'Quantmill server',
    problem: `it cannot be reached: ${problem}`,
    remedy: 'check that it is still running and open the address that it printed',
  })
}
