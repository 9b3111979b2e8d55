/** What the window and `inspect --json` show of an opened checkpoint. Plain data, JSON safe. */
import type { Dtype } from './dtype.ts'

export type CheckpointId = string & { readonly __brand: 'CheckpointId' }

export interface RoleBytes {
  readonly role: string
  readonly tensorCount: number
  readonly sizeBytes: number
}

export interface ProblemSummary {
  readonly severity: 'warning' | 'error'
  readonly subject: string
  readonly message: string
}

export interface CheckpointSummary {
  readonly name: string
  readonly displayPath: string
  readonly family: string
  readonly architecture: string
  readonly prefix: string
  readonly expertLayout: 'fused' | 'per_expert'
  readonly mtpLayout: 'fused' | 'per_expert' | 'none'
  readonly hasVision: boolean
  readonly layerCount: number
  readonly layerKinds: readonly ('linear_attention' | 'full_attention')[]
  readonly expertCount: number
  readonly topK: number
  readonly hiddenSize: number
  readonly expertWidth: number
  readonly vocabSize: number
  readonly tensorCount: number
  readonly parameterCount: number
  readonly totalBytes: number
  readonly bytesByRole: readonly RoleBytes[]
  readonly bytesByDtype: readonly { readonly dtype: Dtype; readonly sizeBytes: number }[]
  readonly shards: readonly {
    readonly fileName: string
    readonly sizeBytes: number
    readonly tensorCount: number
  }[]
  readonly sideFiles: readonly { readonly fileName: string; readonly sizeBytes: number }[]
  readonly hasTokenizer: boolean
  readonly problems: readonly ProblemSummary[]
}

export interface TensorRow {
  readonly name: string
  readonly role: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly sizeBytes: number
  readonly fileName: string
}

export const TENSOR_COLUMNS = ['name', 'role', 'dtype', 'shape', 'bytes'] as const
export type TensorColumn = (typeof TENSOR_COLUMNS)[number]

/** `shape` sorts by the number of values. */
export interface TensorOrder {
  readonly by: TensorColumn
  readonly isDescending: boolean
}

export interface TensorPage {
  /** Rows that match the filter, of which `rows` is a part. */
  readonly totalCount: number
  readonly rows: readonly TensorRow[]
}
