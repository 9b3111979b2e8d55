/**
 * Header of a safetensors file exactly as the reference library writes it: `__metadata__` first, tensors by dtype (high rank first) and
 * then by name in code-point order, compact JSON, padded with spaces to a multiple of 8. Source: safetensors 0.8 as measured in its output.
 */
import { tensorSizeBytes, type Dtype } from '../../../../shared/domain/dtype.ts'
import { invariant } from '../../../../shared/errors/app-error.ts'

export interface HeaderTensor {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

export interface BuiltHeader {
  /** 8-byte length and padded JSON: the first bytes of the file. */
  readonly header: Uint8Array<ArrayBuffer>
  readonly dataStartBytes: number
  readonly fileSizeBytes: number
  /** Relative to the data section. */
  readonly offsets: ReadonlyMap<string, { readonly beginBytes: number; readonly endBytes: number }>
}

/** Storage order of dtypes, first to last. */
const DTYPE_ORDER: readonly Dtype[] = [
  'U64', 'I64', 'F64', 'C64', 'F32', 'U32', 'I32', 'BF16', 'F16', 'U16', 'I16', 'F8_E8M0', 'F8_E4M3', 'F8_E5M2', 'I8', 'U8', 'BOOL',
] // prettier-ignore

const RANK = new Map(DTYPE_ORDER.map((dtype, rank) => [dtype, rank]))

/** Lays tensors out and writes their header. Names must be unique; an empty list is a valid file without data. */
export function buildShardHeader(tensors: readonly HeaderTensor[]): BuiltHeader {
  const ordered = [...tensors].sort(
    (a, b) => (RANK.get(a.dtype) ?? 0) - (RANK.get(b.dtype) ?? 0) || compareCodePoints(a.name, b.name),
  )
  const offsets = new Map<string, { beginBytes: number; endBytes: number }>()
  const parts: string[] = ['"__metadata__":{"format":"pt"}']
  let position = 0
  for (const { name, dtype, shape } of ordered) {
    const end = position + tensorSizeBytes(dtype, shape)
    offsets.set(name, { beginBytes: position, endBytes: end })
    const place = `"data_offsets":[${String(position)},${String(end)}]`
    parts.push(`${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],${place}}`)
    position = end
  }
  invariant(offsets.size === tensors.length, 'two tensors of a shard have the same name')
  const json = new TextEncoder().encode(`{${parts.join(',')}}`)
  const paddedBytes = Math.ceil(json.length / 8) * 8
  const header = new Uint8Array(8 + paddedBytes).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(paddedBytes), true)
  header.set(json, 8)
  return { header, dataStartBytes: header.length, fileSizeBytes: header.length + position, offsets }
}

const SURROGATE = /[\ud800-\udfff]/

/** Order of UTF-8 bytes, which is that of code points; differs from UTF-16 order above U+FFFF. */
export function compareCodePoints(a: string, b: string): number {
  if (a === b) return 0
  // Native comparison is many times faster on long common prefixes, and right unless surrogates are involved.
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1
  let index = 0
  while (index < a.length && index < b.length && a.charCodeAt(index) === b.charCodeAt(index)) index += 1
  const left = a.charCodeAt(index)
  const right = b.charCodeAt(index)
  if (Number.isNaN(left)) return -1
  if (Number.isNaN(right)) return 1
  return surrogateLast(left) - surrogateLast(right)
}

/** Surrogates (parts of code points above U+FFFF) sort behind every other code unit. */
function surrogateLast(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x2800 : unit
}
