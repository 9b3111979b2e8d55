/**
 * Byte rearrangements between the stored form of ModelOpt and that of compressed-tensors for integer weights. No value changes: both hold
 * the same codes. Source: pack_to_int32 of compressed-tensors (input dimension, low element first, codes offset to unsigned).
 */

import { f16ToF32 } from '../tensor/f16.ts'

/** How the bytes of a tensor become those of another dialect. `reciprocal` is about one f32 and is done where the value is known. */
export type StoredTransform =
  'reciprocal' | 'pack_int4' | 'unpack_int4' | 'offset_int8' | 'widen_bf16' | 'widen_f16'

/** XOR with 8 turns a 4-bit two's complement code into code + 8; twice, it is the code again. */
const INT4_OFFSETS = 0x88
const INT8_OFFSET = 0x80

/**
 * U8[rows / 2, cols] with two output rows per byte (even row low) -> I32[rows, cols / 8] as bytes: code + 8 of column 8w + i in bits 4i..4i+3
 * of word w. Any number of row pairs: `source` and `target` have the same length, a multiple of `cols`; `cols` is even.
 */
export function packInt4Columns(source: Uint8Array, cols: number, target: Uint8Array): void {
  const half = cols / 2
  for (let begin = 0; begin < source.length; begin += cols) {
    for (let pair = 0; pair < half; pair++) {
      const left = source[begin + 2 * pair]!
      const right = source[begin + 2 * pair + 1]!
      target[begin + pair] = ((left & 0xf) | ((right & 0xf) << 4)) ^ INT4_OFFSETS
      target[begin + half + pair] = ((left >> 4) | (right & 0xf0)) ^ INT4_OFFSETS
    }
  }
}

/** Inverse of packInt4Columns, same lengths. */
export function unpackInt4Columns(source: Uint8Array, cols: number, target: Uint8Array): void {
  const half = cols / 2
  for (let begin = 0; begin < source.length; begin += cols) {
    for (let pair = 0; pair < half; pair++) {
      const even = source[begin + pair]! ^ INT4_OFFSETS
      const odd = source[begin + half + pair]! ^ INT4_OFFSETS
      target[begin + 2 * pair] = (even & 0xf) | ((odd & 0xf) << 4)
      target[begin + 2 * pair + 1] = (even >> 4) | (odd & 0xf0)
    }
  }
}

/** I8[rows, cols] <-> I32[rows, cols / 4] as bytes: the code plus 128 in memory order. Its own inverse. */
export function offsetInt8(source: Uint8Array, target: Uint8Array): void {
  for (let i = 0; i < source.length; i++) target[i] = source[i]! ^ INT8_OFFSET
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
