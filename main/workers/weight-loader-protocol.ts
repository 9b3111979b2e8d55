/**
 * Messages between the device worker, which is blocked while a graph runs, and its helper threads, which read and convert the next units
 * meanwhile. Structured-clone safe; buffers of converted weights are transferred to and fro, source bytes lie in shared memory.
 */
import type { SerialisedError } from '../../shared/errors/app-error.ts'
import type { Upload, UploadUnit } from '../engine/calibration/resident/uploads.ts'
import type { FilledRange } from './unit-protocol.ts'

export interface LoadRange extends Pick<FilledRange, 'offsetBytes' | 'sizeBytes' | 'bufferOffsetBytes'> {
  readonly descriptor: number
}

export interface LoadUnit {
  readonly kind: 'load'
  readonly seq: number
  readonly upload: UploadUnit
  /** Parallel to `upload.unit.slices`: open file and position, and where the bytes go. */
  readonly ranges: readonly LoadRange[]
  /** Filled with the source bytes. */
  readonly buffer: SharedArrayBuffer
}

export type LoaderRequest =
  | LoadUnit
  /** Buffers of earlier uploads, to be used again. */
  | { readonly kind: 'recycle'; readonly buffers: readonly ArrayBuffer[] }

export type LoaderReply =
  | {
      readonly kind: 'loaded'
      readonly seq: number
      readonly uploads: readonly Upload[]
      readonly readMs: number
      readonly convertMs: number
    }
  | { readonly kind: 'failed'; readonly seq: number; readonly error: SerialisedError }

export interface LoaderData {
  readonly acceptsHalf: boolean
}
