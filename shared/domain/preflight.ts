/** What stands in the way of a run, found before it starts. Plain data, JSON safe. */
import type { ErrorCode } from '../errors/codes.ts'

export interface PreflightProblem {
  /** `error`: the run would be refused. `warning`: it would start. */
  readonly severity: 'error' | 'warning'
  readonly code: ErrorCode
  readonly subject: string
  readonly problem: string
  readonly remedy: string
}

export interface PreflightReport {
  /** Everything that was found, errors first. Empty = nothing stands in the way. */
  readonly problems: readonly PreflightProblem[]
}
