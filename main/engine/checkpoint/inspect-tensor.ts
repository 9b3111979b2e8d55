/**
 * Statistics of one tensor in one pass and bounded memory. Values of two bytes or less are counted by bit pattern, so that range, moments and
 * histogram follow from 65,536 counts; F32 values are counted by their upper half, which changes no bin a person could see, and their range is
 * kept exactly.
 */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { TensorInspection } from '../../../shared/domain/tensor-inspection.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { decodeE4m3 } from '../tensor/e4m3.ts'
import { decodeE8m0 } from '../tensor/e8m0.ts'
import { widenToF32 } from '../tensor/widen.ts'
import type { Checkpoint, TensorSlice } from './checkpoint.ts'

const CHUNK_BYTES = 8 * 1024 * 1024
const HISTOGRAM_BINS = 64
const PATTERNS = 65_536
/** More would not be readable; the largest released model has 512 experts. */
const MAX_EXPERTS = 4_096

/** How the bytes of a dtype become patterns of at most 16 bits, and patterns values. */
interface PatternCode {
  readonly bytes: 1 | 2 | 4
  readonly table: Float32Array
}

function patternCode(dtype: Dtype): PatternCode | undefined {
  const patterns = Uint16Array.from({ length: PATTERNS }, (_, pattern) => pattern)
  switch (dtype) {
    case 'BF16':
    case 'F16': {
      const table = new Float32Array(PATTERNS)
      widenToF32(dtype, new Uint8Array(patterns.buffer), table)
      return { bytes: 2, table }
    }
    case 'F32': {
      const table = new Float32Array(PATTERNS)
      widenToF32('BF16', new Uint8Array(patterns.buffer), table)
      return { bytes: 4, table }
    }
    case 'F8_E4M3':
      return { bytes: 1, table: Float32Array.from({ length: 256 }, (_, code) => decodeE4m3(code)) }
    case 'F8_E8M0':
      return { bytes: 1, table: Float32Array.from({ length: 256 }, (_, code) => decodeE8m0(code)) }
    case 'U8':
      return { bytes: 1, table: Float32Array.from({ length: 256 }, (_, code) => code) }
    case 'I8':
      return { bytes: 1, table: Float32Array.from({ length: 256 }, (_, code) => (code << 24) >> 24) }
    default:
      return undefined
  }
}

/**
 * Reads the whole tensor once. `isCancelled` is asked before each chunk of 8 MiB.
 * Throws TENSOR_MISSING, DTYPE_UNSUPPORTED, CANCELLED, READ_FAILED, SAFETENSORS_TRUNCATED.
 */
export async function inspectTensor(
  checkpoint: Checkpoint,
  name: string,
  isCancelled: () => boolean = () => false,
): Promise<TensorInspection> {
  const tensor = checkpoint.tensors.get(name)
  if (tensor === undefined) throw problem('TENSOR_MISSING', name, 'the checkpoint has no such tensor')
  const code = patternCode(tensor.dtype)
  if (code === undefined)
    throw problem('DTYPE_UNSUPPORTED', name, `values of dtype ${tensor.dtype} are not shown`)
  const counter = new PatternCounter(tensor, code)
  const fileName = checkpoint.shards[tensor.shardIndex]?.fileName ?? ''
  for (let from = 0; from < tensor.sizeBytes; from += CHUNK_BYTES) {
    if (isCancelled()) throw problem('CANCELLED', name, 'looking at it was cancelled')
    const length = Math.min(CHUNK_BYTES, tensor.sizeBytes - from)
    counter.add(await checkpoint.folder.readRange(fileName, tensor.offsetBytes + from, length))
  }
  return counter.result()
}

class PatternCounter {
  private readonly tensor: TensorSlice
  private readonly code: PatternCode
  private readonly counts: Float64Array
  private readonly byExpert: Float64Array
  private readonly perExpert: number
  private position = 0
  /** Exact range of F32 values. */
  private least = Infinity
  private most = -Infinity

  constructor(tensor: TensorSlice, code: PatternCode) {
    this.tensor = tensor
    this.code = code
    this.counts = new Float64Array(code.table.length)
    const [experts = 0, ...rest] = tensor.shape
    const isFused = tensor.shape.length === 3 && experts <= MAX_EXPERTS
    this.byExpert = new Float64Array(isFused ? experts : 0)
    this.perExpert = isFused ? rest.reduce((product, size) => product * size, 1) : Infinity
  }

  add(bytes: Uint8Array<ArrayBuffer>): void {
    const { bytes: width, table } = this.code
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const count = Math.floor(bytes.length / width)
    for (let index = 0; index < count; index += 1) {
      const pattern =
        width === 1
          ? (bytes[index] ?? 0)
          : width === 2
            ? view.getUint16(index * 2, true)
            : this.upperHalf(view, index * 4)
      this.counts[pattern] = (this.counts[pattern] ?? 0) + 1
      if (this.byExpert.length === 0) continue
      const expert = Math.floor((this.position + index) / this.perExpert)
      const value = width === 4 ? view.getFloat32(index * 4, true) : (table[pattern] ?? 0)
      const magnitude = Math.abs(value)
      if (magnitude > (this.byExpert[expert] ?? 0) && magnitude < Infinity) this.byExpert[expert] = magnitude
    }
    this.position += count
  }

  result(): TensorInspection {
    const { table } = this.code
    const { name, dtype, shape, sizeBytes } = this.tensor
    let [least, most, sum, squares, finite, zeros, notFinite] = [Infinity, -Infinity, 0, 0, 0, 0, 0]
    this.counts.forEach((count, pattern) => {
      if (count === 0) return
      const value = table[pattern] ?? 0
      if (!Number.isFinite(value)) {
        notFinite += count
        return
      }
      least = Math.min(least, value)
      most = Math.max(most, value)
      sum += value * count
      squares += value * value * count
      finite += count
      if (value === 0) zeros += count
    })
    if (this.code.bytes === 4 && this.least <= this.most) [least, most] = [this.least, this.most]
    if (finite === 0) [least, most] = [0, 0]
    const mean = finite === 0 ? 0 : sum / finite
    const amax = Math.max(Math.abs(least), Math.abs(most))
    return {
      name,
      dtype,
      shape,
      sizeBytes,
      amax,
      least,
      most,
      mean,
      standardDeviation: finite === 0 ? 0 : Math.sqrt(Math.max(0, squares / finite - mean * mean)),
      valueCount: this.position,
      zeros,
      notFinite,
      histogram: this.histogram(amax),
      magnitudes: this.magnitudes(),
      amaxByExpert: [...this.byExpert],
    }
  }

  private upperHalf(view: DataView, at: number): number {
    const value = view.getFloat32(at, true)
    if (Number.isFinite(value)) {
      this.least = Math.min(this.least, value)
      this.most = Math.max(this.most, value)
    }
    // A NaN whose payload is in the lower half would read as an infinity; both are not finite.
    return view.getUint16(at + 2, true)
  }

  private histogram(amax: number): readonly number[] {
    const bins = new Array<number>(HISTOGRAM_BINS).fill(0)
    this.counts.forEach((count, pattern) => {
      const value = this.code.table[pattern] ?? 0
      if (count === 0 || !Number.isFinite(value)) return
      const place = amax === 0 ? 0.5 : (value / amax + 1) / 2
      const bin = Math.min(HISTOGRAM_BINS - 1, Math.floor(place * HISTOGRAM_BINS))
      bins[bin] = (bins[bin] ?? 0) + count
    })
    return bins
  }

  private magnitudes(): TensorInspection['magnitudes'] {
    const byExponent = new Map<number, number>()
    this.counts.forEach((count, pattern) => {
      const magnitude = Math.abs(this.code.table[pattern] ?? 0)
      if (count === 0 || magnitude === 0 || !Number.isFinite(magnitude)) return
      const exponent = Math.floor(Math.log2(magnitude))
      byExponent.set(exponent, (byExponent.get(exponent) ?? 0) + count)
    })
    if (byExponent.size === 0) return { firstExponent: 0, counts: [] }
    const first = Math.min(...byExponent.keys())
    const last = Math.max(...byExponent.keys())
    const counts = Array.from({ length: last - first + 1 }, (_, index) => byExponent.get(first + index) ?? 0)
    return { firstExponent: first, counts }
  }
}

function problem(
  code: 'TENSOR_MISSING' | 'DTYPE_UNSUPPORTED' | 'CANCELLED',
  subject: string,
  text: string,
): AppError {
  const remedy = code === 'CANCELLED' ? 'start it again' : 'choose another tensor of the list'
  return new AppError(code, { subject, problem: text, remedy })
}
