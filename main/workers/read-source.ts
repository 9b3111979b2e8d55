/** Bytes of a task's source, from a file or from memory, and what smoothing makes of them. */
import type { Dtype } from '../../shared/domain/dtype.ts'
import { invariant } from '../../shared/errors/app-error.ts'
import { readFully } from '../engine/io/node/read-fully.ts'
import { foldInPlace, type ResolvedFold } from '../engine/smoothing/fold-values.ts'
import type { SourceBytes } from './export-protocol.ts'
import { storedElementBytes } from './task-memory.ts'

/** What the source of a matrix or of a copied tensor has in common. */
export interface ReadableSource {
  readonly sourceName: string
  readonly source: SourceBytes
  readonly dtype: Dtype
  readonly fold?: ResolvedFold | undefined
  readonly cols?: number | undefined
  /** Of a copied matrix. */
  readonly columns?: number | undefined
}

/** Fills `target`; returns the bytes that came from a file. Throws READ_FAILED, SOURCE_CHANGED. */
export function readSourceBytes(
  { source, sourceName }: ReadableSource,
  offsetBytes: number,
  target: Uint8Array,
): number {
  if (source.kind === 'memory') {
    target.set(new Uint8Array(source.buffer, source.offsetBytes + offsetBytes, target.length))
    return 0
  }
  readFully(source.descriptor, target, source.offsetBytes + offsetBytes, sourceName)
  return target.length
}

/** In place; `bytes` = whole elements from `offsetBytes` of the source. */
export function foldSource(
  { dtype, fold, cols, columns, sourceName }: ReadableSource,
  offsetBytes: number,
  bytes: Uint8Array,
): void {
  if (fold === undefined) return
  invariant(dtype === 'BF16' || dtype === 'F16' || dtype === 'F32', `${sourceName} is ${dtype}, not a float`)
  foldInPlace(dtype, bytes, fold, cols ?? columns ?? 1, offsetBytes / storedElementBytes(dtype))
}
