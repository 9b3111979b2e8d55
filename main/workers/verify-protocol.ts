/** Between the pool that compares matrices with their source and its threads. */
import type { SerialisedError } from '../../shared/errors/app-error.ts'
import type { MatrixComparison, MatrixTask } from '../engine/verify/compare-matrix.ts'

/** A checkpoint as far as a thread reads it. */
export interface ComparedFolder {
  readonly path: string
  readonly shards: readonly { readonly fileName: string; readonly fileSizeBytes: number }[]
}

export interface VerifyWorkerData {
  readonly exported: ComparedFolder
  readonly source: ComparedFolder
}

export interface MatrixMessage {
  readonly task: MatrixTask
}

export type MatrixReply =
  | { readonly ok: true; readonly comparison: MatrixComparison }
  | { readonly ok: false; readonly error: SerialisedError }
