/** Storage formats of tensor elements, in safetensors spelling, with their size. Source: safetensors format description. */
export const DTYPE_BITS = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
} as const

export type Dtype = keyof typeof DTYPE_BITS

export function isDtype(text: string): text is Dtype {
  return Object.hasOwn(DTYPE_BITS, text)
}

/** Number of elements of a shape; `[]` is a scalar with one element. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Bytes that a tensor of this dtype and shape occupies. */
export function tensorSizeBytes(dtype: Dtype, shape: readonly number[]): number {
  return (elementCount(shape) * DTYPE_BITS[dtype]) / 8
}
