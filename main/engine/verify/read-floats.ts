/** Little-endian float tensors as f32 values and BF16 patterns. */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import { bf16FromF32Array } from '../tensor/bf16.ts'
import { widenToF32, type FloatSource } from '../tensor/widen.ts'

const BYTES = { F32: 4, BF16: 2, F16: 2 } as const

export function isFloat(dtype: Dtype): dtype is FloatSource {
  return dtype === 'F32' || dtype === 'BF16' || dtype === 'F16'
}

/** f32 values of BF16, F16 or F32 bytes; any position. Other dtypes give an empty array. Exact. */
export function readFloats(dtype: Dtype, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  if (!isFloat(dtype)) return new Float32Array(0)
  const values = new Float32Array(Math.floor(bytes.length / BYTES[dtype]))
  widenToF32(dtype, bytes, values)
  return values
}

/** Bytes of the BF16 values nearest to float values, ties to even: what an exporter that loads a model in BF16 makes of them. */
export function asBf16Bytes(dtype: FloatSource, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return dtype === 'BF16' ? bytes : new Uint8Array(bf16FromF32Array(readFloats(dtype, bytes)).buffer)
}

/** f32 values after rounding to BF16. */
export function roundedToBf16(dtype: FloatSource, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  return readFloats('BF16', asBf16Bytes(dtype, bytes))
}

/** Index of the first NaN or infinity of a float tensor, -1 when all are finite. */
export function firstNotFiniteIn(dtype: FloatSource, bytes: Uint8Array): number {
  return widenToF32(dtype, bytes, new Float32Array(Math.floor(bytes.length / BYTES[dtype])))
}
