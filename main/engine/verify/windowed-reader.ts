/** Reads tensors of a checkpoint through a few cached windows, so that thousands of small tensors cost few file accesses. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ShardHeader } from '../formats/safetensors/entry.ts'
import type { CheckpointFolder } from '../io/ports.ts'

const WINDOW_BYTES = 4 * 1024 * 1024
const WINDOW_COUNT = 10

interface Window {
  readonly shardIndex: number
  readonly beginBytes: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** What of a checkpoint is needed to read from it. */
export interface ReadableCheckpoint {
  readonly folder: Pick<CheckpointFolder, 'readRange'>
  readonly shards: readonly Pick<ShardHeader, 'fileName' | 'fileSizeBytes'>[]
}

export class WindowedReader {
  private readonly checkpoint: ReadableCheckpoint
  /** Least recently used first. */
  private readonly windows: Window[] = []

  constructor(checkpoint: ReadableCheckpoint) {
    this.checkpoint = checkpoint
  }

  /**
   * Bytes [from, from + length) of a tensor; the whole tensor by default. A view of a cached window or a new array: valid until changed by
   * nobody, never to be written to. Throws SAFETENSORS_TRUNCATED, READ_FAILED.
   */
  async read(
    slice: TensorSlice,
    from = 0,
    length = slice.sizeBytes - from,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const begin = slice.offsetBytes + from
    const shard = this.checkpoint.shards[slice.shardIndex]
    if (shard === undefined || length === 0) return new Uint8Array(0)
    if (length > WINDOW_BYTES / 2) return this.checkpoint.folder.readRange(shard.fileName, begin, length)
    const position = this.windows.findIndex(
      ({ shardIndex, beginBytes, bytes }) =>
        shardIndex === slice.shardIndex && beginBytes <= begin && begin + length <= beginBytes + bytes.length,
    )
    const found = position === -1 ? undefined : this.windows.splice(position, 1)[0]
    const size = Math.min(WINDOW_BYTES, shard.fileSizeBytes - begin)
    const window = found ?? {
      shardIndex: slice.shardIndex,
      beginBytes: begin,
      bytes: await this.checkpoint.folder.readRange(shard.fileName, begin, size),
    }
    this.windows.push(window)
    if (this.windows.length > WINDOW_COUNT) this.windows.shift()
    return window.bytes.subarray(begin - window.beginBytes, begin - window.beginBytes + length)
  }
}
