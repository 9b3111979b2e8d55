/** Little-endian BF16, F16 or F32 bytes to f32 values, with a check that nothing is NaN or infinite. Exact. */
import { f16ToF32 } from './f16.ts'

export type FloatSource = 'BF16' | 'F16' | 'F32'

/**
 * Widens `source` into `target`, which has exactly as many elements. Returns the index of the first NaN or infinity, −1 when all are
 * finite. `source` may start at any byte position.
 */
export function widenToF32(
  dtype: FloatSource,
  source: Uint8Array,
  target: Float32Array<ArrayBuffer>,
): number {
  if (dtype === 'F32') return widenF32(aligned(source, 4), target)
  return dtype === 'BF16' ? widenBf16(aligned(source, 2), target) : widenF16(aligned(source, 2), target)
}

function widenBf16(bytes: Uint8Array, target: Float32Array<ArrayBuffer>): number {
  const patterns = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1)
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length)
  let hasSpecial = 0
  for (let i = 0; i < bits.length; i++) {
    const pattern = patterns[i]!
    bits[i] = pattern << 16
    // Only an exponent of all ones (0x7F80) carries into bit 15 here.
    hasSpecial |= (pattern & 0x7fff) + 0x80
  }
  if ((hasSpecial & 0x8000) === 0) return -1
  return patterns.findIndex((pattern) => (pattern & 0x7f80) === 0x7f80)
}

function widenF16(bytes: Uint8Array, target: Float32Array): number {
  const patterns = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 1)
  let first = -1
  for (let i = 0; i < target.length; i++) {
    const pattern = patterns[i]!
    target[i] = f16ToF32(pattern)
    if ((pattern & 0x7c00) === 0x7c00 && first < 0) first = i
  }
  return first
}

function widenF32(bytes: Uint8Array, target: Float32Array): number {
  target.set(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2))
  for (let i = 0; i < target.length; i++) if (!Number.isFinite(target[i]!)) return i
  return -1
}

/** The bytes at a position that is a multiple of the element size; copied only when they are not there already. */
function aligned(source: Uint8Array, elementBytes: number): Uint8Array {
  return source.byteOffset % elementBytes === 0 ? source : source.slice()
}
