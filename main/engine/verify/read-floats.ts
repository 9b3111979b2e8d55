/** Little-endian float tensors as f32 values. */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import { bf16ToF32, f32ToBf16 } from '../tensor/bf16.ts'
import { f16ToF32 } from '../tensor/f16.ts'

/** f32 values of BF16, F16 or F32 bytes; any position. Other dtypes give an empty array. Exact. */
export function readFloats(dtype: Dtype, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (dtype) {
    case 'F32':
      return Float32Array.from({ length: bytes.length >> 2 }, (_, index) => view.getFloat32(index * 4, true))
    case 'BF16':
      return Float32Array.from({ length: bytes.length >> 1 }, (_, index) =>
        bf16ToF32(view.getUint16(index * 2, true)),
      )
    case 'F16':
      return Float32Array.from({ length: bytes.length >> 1 }, (_, index) =>
        f16ToF32(view.getUint16(index * 2, true)),
      )
    default:
      return new Float32Array(0)
  }
}

/** BF16 patterns nearest to float values, ties to even: what an exporter that loads a model in BF16 makes of it. */
export function asBf16(dtype: Dtype, bytes: Uint8Array): Uint16Array<ArrayBuffer> {
  return Uint16Array.from(readFloats(dtype, bytes), f32ToBf16)
}

/** Index of the first NaN or infinity of a float tensor, -1 when all are finite. */
export function firstNotFiniteIn(dtype: Dtype, bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (dtype === 'F32') {
    for (let at = 0; at + 4 <= bytes.length; at += 4) {
      if ((view.getUint32(at, true) & 0x7f800000) === 0x7f800000) return at >> 2
    }
    return -1
  }
  const exponent = dtype === 'BF16' ? 0x7f80 : dtype === 'F16' ? 0x7c00 : undefined
  if (exponent === undefined) return -1
  for (let at = 0; at + 2 <= bytes.length; at += 2) {
    if ((view.getUint16(at, true) & exponent) === exponent) return at >> 1
  }
  return -1
}
