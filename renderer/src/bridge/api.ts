/** The only place where the renderer meets its surface: the preload script's object in Electron, HTTP in a browser, a fake in tests. */
import type { AppEvents, EventName, RendererApi, RouteOutput } from '../../../shared/contract/routes.ts'
import type { RouteInput, RouteName } from '../../../shared/contract/schemas.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { createHttpApi } from './http-api.ts'

declare global {
  interface Window {
    /** Set by the preload script; absent in a browser. */
    readonly quantmill?: RendererApi
  }
}

let current: RendererApi | undefined

export function getApi(): RendererApi {
  current ??= window.quantmill ?? createHttpApi()
  return current
}

/** For tests and previews: everything after this call uses the given surface. */
export function setApi(api: RendererApi): void {
  current = api
}

/** Sends a request. Throws AppError with the code that main or host gave. */
export async function request<R extends RouteName>(route: R, input: RouteInput<R>): Promise<RouteOutput<R>> {
  const reply = await getApi().request(route, input)
  if (!reply.ok) throw AppError.revive(reply.error)
  return reply.value
}

/** Listens to an event; returns a function that stops listening. */
export function onEvent<E extends EventName>(
  event: E,
  listener: (payload: AppEvents[E]) => void,
): () => void {
  return getApi().on(event, listener)
}
