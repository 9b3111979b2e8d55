/**
 * Weights in the form in which they cross the bus to a GPU: matrices of 16-bit sources as binary16 patterns, everything small as prepared
 * f32. Converting is done wherever a source of uploads runs it: here on the spot, in the device worker's helpers ahead of time.
 */
import { elementCount } from '../../../../shared/domain/dtype.ts'
import { invariant } from '../../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import { halfFromBf16, halfFromF16 } from '../../tensor/half-from-bf16.ts'
import { widenToF32 } from '../../tensor/widen.ts'
import { prepareWeight } from '../prepare-weight.ts'
import { floatSource, weightNotFinite } from '../weight-decoder.ts'
import type { WeightReader, WeightUnit } from '../weight-reader.ts'

/** One tensor of an upload: slices of the unit, one behind the other. */
export interface UploadItem {
  /** Of the graph input; decides how f32 values are prepared. */
  readonly name: string
  readonly shape: readonly number[]
  /** Indices into `unit.slices`. */
  readonly parts: readonly number[]
  /** Set for [E, rows, cols], matrices of experts side by side: each is scaled by itself, and the device transposes them. */
  readonly holdsExperts?: boolean
}

export interface UploadUnit {
  readonly unit: WeightUnit
  readonly items: readonly UploadItem[]
}

export type Upload = Pick<UploadItem, 'name' | 'shape' | 'holdsExperts'> &
  /** One exponent, or one for each expert. */
  (
    | {
        readonly kind: 'half'
        readonly data: Uint16Array<ArrayBuffer>
        readonly exponents: readonly number[]
      }
    | { readonly kind: 'single'; readonly data: Float32Array<ArrayBuffer> }
  )

/** Hands out units in the form of uploads; each is read once. */
export interface UploadSource {
  /** Units that will be taken, in this order, so that they can be prepared ahead. */
  announce(units: readonly UploadUnit[]): void
  /** In the order of `items`; valid until `release`. Throws WEIGHT_NOT_FINITE, DTYPE_UNSUPPORTED and what reading throws. */
  take(unit: UploadUnit): Promise<readonly Upload[]>
  /** Exactly once for every unit that was taken. */
  release(unit: UploadUnit): void
  /** What was announced will not be taken. */
  forget(): void
}

/** A buffer of exactly that many bytes. */
export type TakeBuffer = (sizeBytes: number) => ArrayBuffer

/**
 * Converts the bytes of a unit (parallel to `unit.slices`). `acceptsHalf` false makes everything f32. Norm scales become 1 + w and A_log
 * −exp(A_log). Throws WEIGHT_NOT_FINITE, DTYPE_UNSUPPORTED.
 */
export function encodeUploads(
  { unit, items }: UploadUnit,
  bytes: readonly Uint8Array[],
  acceptsHalf: boolean,
  takeBuffer: TakeBuffer,
): readonly Upload[] {
  return items.map((item) => {
    const sources = item.parts.map((index): Source => {
      const slice = unit.slices[index]
      const data = bytes[index]
      invariant(slice !== undefined && data !== undefined, `${unit.label} has no slice ${String(index)}`)
      return { slice, data }
    })
    return acceptsHalf && isHalf(item, sources)
      ? encodeHalf(item, sources, takeBuffer)
      : encodeSingle(item, sources, takeBuffer)
  })
}

/** Converts when a unit is taken, nothing ahead. */
export class DirectUploads implements UploadSource {
  private readonly reader: WeightReader
  private readonly acceptsHalf: boolean

  constructor(reader: WeightReader, acceptsHalf: boolean) {
    this.reader = reader
    this.acceptsHalf = acceptsHalf
  }

  announce(): void {
    // Nothing is done ahead.
  }

  async take(upload: UploadUnit): Promise<readonly Upload[]> {
    const bytes = await this.reader.read(upload.unit)
    return encodeUploads(upload, bytes, this.acceptsHalf, (sizeBytes) => new ArrayBuffer(sizeBytes))
  }

  release({ unit }: UploadUnit): void {
    this.reader.release(unit)
  }

  forget(): void {
    // Nothing was done ahead.
  }
}

interface Source {
  readonly slice: TensorSlice
  readonly data: Uint8Array
}

/** Matrices of one 16-bit type; vectors and convolutions are too small to matter, and some of them are changed in f32. */
function isHalf({ shape, holdsExperts }: UploadItem, sources: readonly Source[]): boolean {
  const dtype = sources[0]?.slice.dtype
  const isSixteenBit = dtype === 'BF16' || dtype === 'F16'
  return (
    (shape.length === 2 || holdsExperts === true) &&
    isSixteenBit &&
    sources.every(({ slice }) => slice.dtype === dtype)
  )
}

function encodeHalf(item: UploadItem, sources: readonly Source[], takeBuffer: TakeBuffer): Upload {
  const { name, shape, holdsExperts = false } = item
  const data = new Uint16Array(takeBuffer(2 * elementCount(shape)))
  const count = holdsExperts ? (shape[0] ?? 1) : 1
  const [elements, parts] = [data.length / count, sources.length / count]
  const exponents = Array.from({ length: count }, (_, index) => {
    const own = sources.slice(index * parts, (index + 1) * parts)
    const patterns = own.map(({ data: bytes }) => patternsOf(bytes))
    const target = data.subarray(index * elements, (index + 1) * elements)
    const isBf16 = own[0]?.slice.dtype === 'BF16'
    const { exponent, badIndex } = isBf16 ? halfFromBf16(patterns, target) : halfFromF16(patterns, target)
    if (badIndex >= 0) throw notFiniteAt(own, badIndex)
    return exponent
  })
  return { kind: 'half', name, shape, holdsExperts, data, exponents }
}

function notFiniteAt(sources: readonly Source[], index: number): Error {
  let first = 0
  for (const { slice } of sources) {
    const count = elementCount(slice.shape)
    if (index < first + count) return weightNotFinite(slice, index - first)
    first += count
  }
  return new Error(`element ${String(index)} lies behind the weight`)
}

function encodeSingle(
  { name, shape, holdsExperts = false }: UploadItem,
  sources: readonly Source[],
  takeBuffer: TakeBuffer,
): Upload {
  const data = new Float32Array(takeBuffer(4 * elementCount(shape)))
  let first = 0
  for (const { slice, data: bytes } of sources) {
    const target = data.subarray(first, first + elementCount(slice.shape))
    const bad = widenToF32(floatSource(slice.name, slice.dtype), bytes, target)
    if (bad >= 0) throw weightNotFinite(slice, bad, target[bad])
    first += target.length
  }
  prepareWeight(name, data)
  return { kind: 'single', name, shape, holdsExperts, data }
}

function patternsOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice()
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2)
}
