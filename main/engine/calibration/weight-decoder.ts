/** Source bytes to f32 buffers that are reused from unit to unit. Refuses weights that are NaN or infinite, naming tensor and element. */
import { elementCount, type Dtype } from '../../../shared/domain/dtype.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { widenToF32, type FloatSource } from '../tensor/widen.ts'

export class WeightDecoder {
  private free: Float32Array<ArrayBuffer>[] = []
  private used: Float32Array<ArrayBuffer>[] = []

  /** f32 values of a slice, row-major. Throws DTYPE_UNSUPPORTED, WEIGHT_NOT_FINITE. Valid until `reset`. */
  decode(slice: TensorSlice, bytes: Uint8Array): Float32Array<ArrayBuffer> {
    const values = this.take(elementCount(slice.shape))
    this.decodeInto(slice, bytes, values)
    return values
  }

  /** Slices one behind the other in one buffer: gate and up rows of an expert become one matrix. */
  decodeTogether(
    slices: readonly TensorSlice[],
    bytes: readonly (Uint8Array | undefined)[],
  ): Float32Array<ArrayBuffer> {
    const values = this.take(slices.reduce((sum, slice) => sum + elementCount(slice.shape), 0))
    let position = 0
    for (const [index, slice] of slices.entries()) {
      const count = elementCount(slice.shape)
      this.decodeInto(slice, bytes[index] ?? new Uint8Array(0), values.subarray(position, position + count))
      position += count
    }
    return values
  }

  /** A buffer with undefined content; valid until `reset`. */
  take(length: number): Float32Array<ArrayBuffer> {
    const found = this.free.findIndex(
      (buffer) => buffer.length >= length && buffer.length <= 2 * length + 1024,
    )
    const buffer = found < 0 ? new Float32Array(length) : this.free.splice(found, 1)[0]
    const whole = buffer ?? new Float32Array(length)
    this.used.push(whole)
    return whole.length === length ? whole : whole.subarray(0, length)
  }

  /** Buffers of the last unit become free; those that it did not use are dropped, so that memory follows the need. */
  reset(): void {
    this.free = this.used
    this.used = []
  }

  private decodeInto(slice: TensorSlice, bytes: Uint8Array, target: Float32Array<ArrayBuffer>): void {
    const bad = widenToF32(floatSource(slice.name, slice.dtype), bytes, target)
    if (bad >= 0) throw weightNotFinite(slice, bad, target[bad])
  }
}

/** The error for a weight whose element `index` is NaN or infinite. */
export function weightNotFinite({ name, shape }: TensorSlice, index: number, value?: number): AppError {
  return new AppError('WEIGHT_NOT_FINITE', {
    subject: name,
    problem: `element ${String(index)} of the slice with shape [${shape.join(', ')}] is ${String(value ?? 'not finite')}`,
    remedy: 'get an undamaged copy of the checkpoint',
  })
}

/** The element type of a weight. Throws DTYPE_UNSUPPORTED for what cannot be calibrated. */
export function floatSource(name: string, dtype: Dtype): FloatSource {
  if (dtype === 'BF16' || dtype === 'F16' || dtype === 'F32') return dtype
  throw new AppError('DTYPE_UNSUPPORTED', {
    subject: name,
    problem: `weights of type ${dtype} cannot be calibrated`,
    remedy: 'use the BF16 checkpoint',
  })
}
