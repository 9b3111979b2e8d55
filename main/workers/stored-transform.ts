/** Applies the transforms of dialects to chunks of bytes. All state is in the arguments. */
import { invariant } from '../../shared/errors/app-error.ts'
import {
  offsetInt8,
  packInt4Columns,
  unpackInt4Columns,
  widenBf16,
  widenF16,
  type StoredTransform,
} from '../engine/quant/packing.ts'

/** Length of the result for `sizeBytes` of source. */
export function transformedBytes(transform: StoredTransform | undefined, sizeBytes: number): number {
  return transform === 'widen_bf16' || transform === 'widen_f16' ? sizeBytes * 2 : sizeBytes
}

/** Chunks must be whole multiples of this many bytes. `columns` = columns of the matrix, needed where rows are paired. */
export function transformUnitBytes(
  transform: StoredTransform | undefined,
  columns: number | undefined,
): number {
  if (transform !== 'pack_int4' && transform !== 'unpack_int4') return 1
  invariant(columns !== undefined && columns > 0, 'packing needs the columns of the matrix')
  return columns
}

/** Writes the transformed chunk to `target` (of transformedBytes) and returns it. Throws INVARIANT for a transform of single values. */
export function transformBytes(
  transform: StoredTransform,
  source: Uint8Array,
  columns: number | undefined,
  target: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  switch (transform) {
    case 'pack_int4':
      packInt4Columns(source, transformUnitBytes(transform, columns), target)
      return target
    case 'unpack_int4':
      unpackInt4Columns(source, transformUnitBytes(transform, columns), target)
      return target
    case 'offset_int8':
      offsetInt8(source, target)
      return target
    case 'widen_bf16':
      widenBf16(source, target)
      return target
    case 'widen_f16':
      widenF16(source, target)
      return target
    case 'reciprocal':
      invariant(false, 'a reciprocal is taken where the value is known')
  }
}
