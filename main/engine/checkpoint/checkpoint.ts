/** An opened checkpoint: headers and configuration, never weights. Produced by `openCheckpoint` in open-checkpoint.ts. */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { ShardHeader } from '../formats/safetensors/entry.ts'
import type { CheckpointFolder, FolderEntry } from '../io/ports.ts'

/** Where the bytes of a tensor, or of a contiguous part of one, lie in the source. */
export interface TensorSlice {
  /** Name of the tensor in the source; a slice of a fused tensor keeps the fused tensor's name. */
  readonly name: string
  readonly dtype: Dtype
  /** Shape of the slice, not of the tensor it was cut from. */
  readonly shape: readonly number[]
  /** Index into `Checkpoint.shards`. */
  readonly shardIndex: number
  /** Absolute position in the shard file. */
  readonly offsetBytes: number
  readonly sizeBytes: number
}

export interface Checkpoint {
  readonly folder: CheckpointFolder
  /** config.json with number text preserved. */
  readonly config: JsonObject
  /** Sorted by file name. */
  readonly shards: readonly ShardHeader[]
  /** Every tensor of every shard by name; iteration order = index order, or header order without an index. */
  readonly tensors: ReadonlyMap<string, TensorSlice>
  /** Everything that is carried over byte for byte: all top-level files except weights, index, config.json, old quantization files. */
  readonly sideFiles: readonly FolderEntry[]
  readonly totalTensorBytes: number
}
