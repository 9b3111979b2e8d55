/**
 * From an untrusted message to a reply. The sender has been checked by the surface; here the route and the input are. Never rejects: every
 * failure is an error in the envelope, and stacks stay in the log.
 */
import * as z from 'zod/mini'
import type { Reply } from '../../shared/contract/routes.ts'
import {
  isRouteName,
  REQUEST_SCHEMAS,
  type RouteInput,
  type RouteName,
} from '../../shared/contract/schemas.ts'
import { AppError, withoutStack } from '../../shared/errors/app-error.ts'
import type { HandlerTable } from './handler-table.ts'
import { isWithinInputBudget } from './input-budget.ts'

export type ErrorLog = (route: string, error: AppError) => void

export class Router {
  readonly #handlers: HandlerTable
  readonly #logError: ErrorLog

  constructor(handlers: HandlerTable, logError: ErrorLog) {
    this.#handlers = handlers
    this.#logError = logError
  }

  async handle(route: unknown, input: unknown): Promise<Reply<unknown>> {
    const name = typeof route === 'string' ? route.slice(0, 64) : typeof route
    try {
      if (typeof route !== 'string' || !isRouteName(route)) throw invalid(name, 'there is no such request')
      if (!isWithinInputBudget(input)) throw invalid(name, 'the input is too large or not plain data')
      return { ok: true, value: await this.#dispatch(route, input) }
    } catch (thrown: unknown) {
      const error = AppError.from(thrown)
      this.#logError(name, error)
      return errorReply(error)
    }
  }

  #dispatch<R extends RouteName>(route: R, input: unknown): Promise<unknown> {
    const parsed = z.safeParse(REQUEST_SCHEMAS[route], input)
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      const where = issue === undefined || issue.path.length === 0 ? 'input' : issue.path.join('.')
      throw invalid(route, `${where}: ${issue?.message ?? 'not as expected'}`)
    }
    return this.#handlers[route](parsed.data as RouteInput<R>)
  }
}

/** The envelope of a refusal, without the stack: it names files of the installation. */
export function errorReply(error: AppError): Reply<never> {
  return { ok: false, error: withoutStack(error.serialise()) }
}

export function forbiddenSender(): AppError {
  return new AppError('FORBIDDEN_SENDER', {
    subject: 'request',
    problem: 'it does not come from the application window',
    remedy: 'use the window that Quantmill opened',
  })
}

function invalid(route: string, problem: string): AppError {
  return new AppError('REQUEST_INVALID', { subject: route, problem, remedy: 'report this as a defect' })
}
