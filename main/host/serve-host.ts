/** Host side of the messages between main and the host process, over any port. Converts what is thrown once, here. */
import { AppError } from '../../shared/errors/app-error.ts'
import { isHostRoute, type HostApi, type HostMessage, type HostRequestMessage } from './host-api.ts'

export interface HostPort {
  post(message: HostMessage): void
  /** Called once; the listener gets plain data of unknown shape. */
  listen(listener: (message: unknown) => void): void
}

/** Answers requests until the process ends. The caller sends events itself through the same port. */
export function serveHost(port: HostPort, host: HostApi): void {
  port.listen((message) => {
    if (!isHostRequest(message)) return
    const { seq, route, input } = message
    answer(host, route, input).then(
      (value) => {
        port.post({ kind: 'reply', seq, ok: true, value })
      },
      (thrown: unknown) => {
        port.post({ kind: 'reply', seq, ok: false, error: AppError.from(thrown).serialise() })
      },
    )
  })
  port.post({ kind: 'ready' })
}

async function answer(host: HostApi, route: HostRequestMessage['route'], input: unknown): Promise<unknown> {
  // Main validates what came from outside before it sends; both ends are ours and built together.
  const handlers = host as unknown as Readonly<Record<string, (input: unknown) => Promise<unknown>>>
  return handlers[route]?.(input)
}

function isHostRequest(message: unknown): message is HostRequestMessage {
  return (
    typeof message === 'object' &&
    message !== null &&
    'kind' in message &&
    message.kind === 'request' &&
    'seq' in message &&
    typeof message.seq === 'number' &&
    'route' in message &&
    typeof message.route === 'string' &&
    isHostRoute(message.route) &&
    'input' in message
  )
}
