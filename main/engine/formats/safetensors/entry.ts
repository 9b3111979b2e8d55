/** One tensor of a safetensors header. Source: safetensors format description. */
import type { Dtype } from '../../../../shared/domain/dtype.ts'

export interface TensorEntry {
  readonly name: string
  readonly dtype: Dtype
  /** Row-major, outermost first; [] is a scalar. */
  readonly shape: readonly number[]
  /** Relative to the start of the data section. */
  readonly beginBytes: number
  readonly endBytes: number
}

export interface ShardHeader {
  readonly fileName: string
  readonly fileSizeBytes: number
  /** Position of the data section in the file: 8 + header length. */
  readonly dataStartBytes: number
  readonly metadata: ReadonlyMap<string, string>
  /** In header order, which need not be data order. */
  readonly tensors: readonly TensorEntry[]
}
