/**
 * How source bytes that the device worker has read reach the export workers without being read again: the device worker asks for shared
 * memory, fills it, uses it, and hands it on; the host exports from it and takes it back. Travels over a message port of its own.
 */

export interface FilledRange {
  /** Index into the checkpoint's shards. */
  readonly shardIndex: number
  readonly offsetBytes: number
  readonly sizeBytes: number
  readonly bufferOffsetBytes: number
}

export type UnitRequest =
  | { readonly kind: 'memory_wanted'; readonly sizeBytes: number }
  | {
      readonly kind: 'unit_filled'
      readonly layerIndex: number
      readonly buffer: SharedArrayBuffer
      readonly ranges: readonly FilledRange[]
    }
  /** Every unit of the layer is handed on. */
  | { readonly kind: 'layer_read'; readonly layerIndex: number }

export type UnitReply =
  { readonly kind: 'memory'; readonly buffer: SharedArrayBuffer } | { readonly kind: 'stopped' }
