/**
 * Byte rearrangements between the stored form of ModelOpt and that of compressed-tensors for integer weights. No value changes: both hold
 * the same codes. Source: pack_to_int32 of compressed-tensors (input dimension, low element first, codes offset to unsigned).
 */

import { invariant } from '../../../shared/errors/app-error.ts'
import { f16ToF32 } from '../tensor/f16.ts'

/** How the bytes of a tensor become those of another dialect. `reciprocal` is about one f32 and is done where the value is known. */
export type StoredTransform =
  'reciprocal' | 'pack_int4' | 'unpack_int4' | 'offset_int8' | 'widen_bf16' | 'widen_f16'

/** XOR with 8 turns a 4-bit two's complement code into code + 8; twice, it is the code again. */
const INT4_OFFSETS = 0x88888888
const INT8_OFFSETS = 0x80808080
const LOW_NIBBLES = 0x0f0f0f0f

/**
 * U8[rows / 2, cols] with two output rows per byte (even row low) -> I32[rows, cols / 8] as bytes: code + 8 of column 8w + i in bits 4i..4i+3
 * of word w. Any number of row pairs: `source` and `target` have the same length, a multiple of `cols`, which is a multiple of 8; both begin
 * on 4-byte borders. Throws INVARIANT otherwise.
 */
export function packInt4Columns(source: Uint8Array, cols: number, target: Uint8Array): void {
  const from = words(source)
  const to = words(target)
  const half = cols / 8
  for (let begin = 0; begin < from.length; begin += 2 * half) {
    for (let word = 0; word < half; word++) {
      const left = from[begin + 2 * word]!
      const right = from[begin + 2 * word + 1]!
      to[begin + word] = (gather(left) | (gather(right) << 16)) ^ INT4_OFFSETS
      to[begin + half + word] = (gather(left >>> 4) | (gather(right >>> 4) << 16)) ^ INT4_OFFSETS
    }
  }
}

/** Inverse of packInt4Columns, same lengths and borders. */
export function unpackInt4Columns(source: Uint8Array, cols: number, target: Uint8Array): void {
  const from = words(source)
  const to = words(target)
  const half = cols / 8
  for (let begin = 0; begin < from.length; begin += 2 * half) {
    for (let word = 0; word < half; word++) {
      const even = from[begin + word]! ^ INT4_OFFSETS
      const odd = from[begin + half + word]! ^ INT4_OFFSETS
      to[begin + 2 * word] = spread(even) | (spread(odd) << 4)
      to[begin + 2 * word + 1] = spread(even >>> 16) | (spread(odd >>> 16) << 4)
    }
  }
}

/** I8[rows, cols] <-> I32[rows, cols / 4] as bytes: the code plus 128 in memory order. Its own inverse. Same borders as above. */
export function offsetInt8(source: Uint8Array, target: Uint8Array): void {
  const from = words(source)
  const to = words(target)
  for (let i = 0; i < from.length; i++) to[i] = from[i]! ^ INT8_OFFSETS
}

/** The low nibbles of 4 bytes, side by side in 16 bits. */
function gather(word: number): number {
  const pairs = word & LOW_NIBBLES
  const bytes = (pairs | (pairs >>> 4)) & 0x00ff00ff
  return (bytes | (bytes >>> 8)) & 0xffff
}

/** The low 4 nibbles of a word, one in the lower half of each byte. */
function spread(word: number): number {
  const low = word & 0xffff
  const bytes = (low | (low << 8)) & 0x00ff00ff
  return (bytes | (bytes << 4)) & LOW_NIBBLES
}

/** Little-endian words of bytes. */
function words(bytes: Uint8Array): Uint32Array {
  const isAligned = bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0
  invariant(isAligned, 'packing works on whole words')
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
}

/** BF16 -> F32, both little endian; exact. */
export function widenBf16(source: Uint8Array, target: Uint8Array): void {
  for (let i = 0; i < source.length; i += 2) {
    target[2 * i] = 0
    target[2 * i + 1] = 0
    target[2 * i + 2] = source[i]!
    target[2 * i + 3] = source[i + 1]!
  }
}

/** F16 -> F32, both little endian; exact, subnormals included. */
export function widenF16(source: Uint8Array, target: Uint8Array): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength)
  for (let i = 0; i < source.length; i += 2)
    view.setFloat32(2 * i, f16ToF32(source[i]! | (source[i + 1]! << 8)), true)
}
