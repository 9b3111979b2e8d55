/** A surface for component tests: answers what the test says, refuses the rest, and lets the test emit events. */
import type {
  AppEvents,
  EventName,
  RendererApi,
  Reply,
  RouteOutput,
} from '../../../shared/contract/routes.ts'
import type { RouteInput, RouteName } from '../../../shared/contract/schemas.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { EventListeners } from './event-listeners.ts'

/** A handler may throw an AppError; it becomes the refusal that main would send. */
export type FakeHandlers = {
  readonly [R in RouteName]?: (input: RouteInput<R>) => RouteOutput<R> | Promise<RouteOutput<R>>
}

export interface FakeApi extends RendererApi {
  /** Every request in order. */
  readonly requests: readonly { readonly route: RouteName; readonly input: unknown }[]
  emit<E extends EventName>(event: E, payload: AppEvents[E]): void
}

export function createFakeApi(handlers: FakeHandlers): FakeApi {
  const listeners = new EventListeners()
  const requests: { readonly route: RouteName; readonly input: unknown }[] = []
  return {
    requests,
    async request<R extends RouteName>(route: R, input: RouteInput<R>): Promise<Reply<RouteOutput<R>>> {
      requests.push({ route, input })
      try {
        const handler: FakeHandlers[R] = handlers[route]
        if (handler === undefined) throw unanswered(route)
        return { ok: true, value: await handler(input) }
      } catch (error: unknown) {
        return { ok: false, error: AppError.from(error).serialise() }
      }
    },
    on: (event, listener) => listeners.add(event, listener),
    emit: (event, payload) => {
      listeners.emit(event, payload)
    },
  }
}

function unanswered(route: RouteName): AppError {
  return new AppError('REQUEST_INVALID', {
    subject: route,
    problem: 'this fake has no answer for it',
    remedy: 'give createFakeApi a handler',
  })
}
