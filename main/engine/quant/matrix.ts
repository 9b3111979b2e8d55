/**
 * What every encoder takes and fills: a BF16 matrix and the byte regions of its stored parts. Sources in F32 or F16 are converted to BF16
 * (nearest, ties to even) before they come here, as the reference loads a checkpoint in its configured dtype.
 */
import type { NumericProfile } from './formats.ts'

export interface Bf16Matrix {
  /** BF16 patterns, row-major [rows, cols]. */
  readonly bits: Uint16Array
  readonly rows: number
  readonly cols: number
}

/** Regions as large as `storedParts` says; multi-byte values are little-endian. They may lie anywhere, aligned or not. */
export interface EncodedParts {
  readonly weight: Uint8Array
  readonly weightScale: Uint8Array
}

/** A stored matrix to be read back. */
export interface StoredMatrix {
  readonly rows: number
  readonly cols: number
  readonly weight: Uint8Array
  readonly weightScale: Uint8Array
  /** Tensor scale of the NVFP4 family; undefined in every other format. */
  readonly weightScale2: number | undefined
}

export interface EncodeContext {
  readonly profile: NumericProfile
  /** Maximum of the tensor, fused expert or fusion group as f32. Only read by formats that need it. */
  readonly tensorAmax: number
  /** Maximum that a search for static block scales measures against; undefined = tensorAmax. */
  readonly searchAmax?: number
}

/** Little-endian f32 writer over a byte region. */
export function f32Writer(bytes: Uint8Array): (index: number, value: number) => void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return (index, value) => view.setFloat32(index * 4, value, true)
}

/** Little-endian f32 reader over a byte region. */
export function f32Reader(bytes: Uint8Array): (index: number) => number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return (index) => view.getFloat32(index * 4, true)
}
