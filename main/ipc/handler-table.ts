import type { RouteOutput } from '../../shared/contract/routes.ts'
import type { RouteInput, RouteName } from '../../shared/contract/schemas.ts'

/** One handler per route: a missing, extra or wrongly typed one does not compile. */
export type HandlerTable = {
  readonly [R in RouteName]: (input: RouteInput<R>) => Promise<RouteOutput<R>>
}
