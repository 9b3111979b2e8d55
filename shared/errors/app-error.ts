/**
 * The one error class of the product. Thrown in the engine, converted once at each boundary (worker reply, host reply, router,
 * command line). It always names what is wrong (`subject`), how (`problem`) and what to do (`remedy`).
 */
import { ERROR_KINDS, type ErrorCode, type ErrorKind } from './codes.ts'

export interface AppErrorDetails {
  /** File, tensor, key or option the error is about; shown first. Display text, never an authority. */
  readonly subject: string
  /** What is wrong, with the offending value and the limit, as a clause without a full stop. */
  readonly problem: string
  /** What the user can do, as an imperative clause without a full stop. */
  readonly remedy: string
  readonly cause?: unknown
  /** Found with it, when a check looked for everything at once. */
  readonly further?: readonly SerialisedError[] | undefined
}

/** Plain form that crosses processes and threads (structured clone and JSON safe). */
export interface SerialisedError {
  readonly code: ErrorCode
  readonly kind: ErrorKind
  readonly subject: string
  readonly problem: string
  readonly remedy: string
  /** Stack of the origin, for the log only. */
  readonly stack?: string
  /** Other problems of the same request, in the order in which they should be read. */
  readonly further?: readonly SerialisedError[]
}

/** As others than the log may see it: the stack names files of the installation. */
export function withoutStack(error: SerialisedError): SerialisedError {
  const { code, kind, subject, problem, remedy, further } = error
  const shown = { code, kind, subject, problem, remedy }
  return further === undefined ? shown : { ...shown, further: further.map(withoutStack) }
}

export class AppError extends Error {
  readonly code: ErrorCode
  readonly kind: ErrorKind
  readonly subject: string
  readonly problem: string
  readonly remedy: string
  readonly further: readonly SerialisedError[]

  constructor(code: ErrorCode, details: AppErrorDetails) {
    super(`${code}: ${details.subject}: ${details.problem}. ${capitalise(details.remedy)}.`, {
      cause: details.cause,
    })
    this.name = 'AppError'
    this.code = code
    this.kind = ERROR_KINDS[code]
    this.subject = details.subject
    this.problem = details.problem
    this.remedy = details.remedy
    this.further = details.further ?? []
  }

  /** Several problems as one error: the first with the others behind it. At least one is needed. */
  static all(errors: readonly AppError[]): AppError {
    const [first, ...rest] = errors
    invariant(first !== undefined, 'there is nothing to report')
    if (rest.length === 0) return first
    const { code, subject, problem, remedy } = first
    return new AppError(code, { subject, problem, remedy, further: rest.map((error) => error.serialise()) })
  }

  /** One line for a terminal; control characters of hostile names are replaced, so it cannot become two. */
  toLine(): string {
    return this.message.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
  }

  /** One line for each problem. */
  toLines(): readonly string[] {
    return [this.toLine(), ...this.further.map((error) => AppError.revive(error).toLine())]
  }

  serialise(): SerialisedError {
    const { code, kind, subject, problem, remedy, stack, further } = this
    return {
      ...{ code, kind, subject, problem, remedy },
      ...(stack === undefined ? {} : { stack }),
      ...(further.length === 0 ? {} : { further }),
    }
  }

  static revive(error: SerialisedError): AppError {
    const revived = new AppError(error.code, error)
    if (error.stack !== undefined) revived.stack = error.stack
    return revived
  }

  /** Wraps anything thrown: an AppError unchanged, everything else as INVARIANT (our bug) with the original as cause. */
  static from(error: unknown): AppError {
    if (error instanceof AppError) return error
    const message = error instanceof Error ? error.message : String(error)
    return new AppError('INVARIANT', {
      subject: 'Quantmill',
      problem: `unexpected failure: ${message}`,
      remedy: 'report this with the job log',
      cause: error,
    })
  }
}

/** For what a caller cannot cause: a false condition is our bug. Throws INVARIANT. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) {
    throw new AppError('INVARIANT', {
      subject: 'Quantmill',
      problem: message,
      remedy: 'report this with the job log',
    })
  }
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
