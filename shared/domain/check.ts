/** Long readings that are not runs: verifying, comparing, looking at a tensor. Plain data, JSON safe. */
import type { SerialisedError } from '../errors/app-error.ts'
import type { CompareReport } from './compare-report.ts'
import type { VerifyOutcome } from './export-report.ts'
import type { TensorInspection } from './tensor-inspection.ts'

export type CheckId = string & { readonly __brand: 'CheckId' }

export type CheckState =
  | { readonly kind: 'running' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly error: SerialisedError }
  | { readonly kind: 'succeeded' }

export interface CheckSnapshot {
  readonly checkId: CheckId
  readonly state: CheckState
  /** Bytes read, of those that will be read at most. */
  readonly doneBytes: number
  readonly totalBytes: number
}

export type CheckResult =
  | { readonly kind: 'verify'; readonly outcome: VerifyOutcome }
  | { readonly kind: 'compare'; readonly report: CompareReport }
  | { readonly kind: 'inspect'; readonly inspection: TensorInspection }
