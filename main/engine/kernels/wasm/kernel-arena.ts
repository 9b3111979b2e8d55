/**
 * The memory of one worker's kernels: an input and an output region that files are read into and written from without copies, and the
 * operations on them. One arena per worker, never shared. Results equal the reference encoders' bytes (cuda profile).
 */
import { AppError, invariant } from '../../../../shared/errors/app-error.ts'
import type { ModuleFormat } from '../../quant/formats.ts'
import { storedParts, storedSizesBytes, type FusedHalf } from '../../quant/layout.ts'
import { bf16ToF32, BF16_MAX_FINITE_BITS } from '../../tensor/bf16.ts'
import { f16ToF32 } from '../../tensor/f16.ts'
import { f32FromBits } from '../../tensor/float-bits.ts'
import type { AmaxScan } from '../../tensor/amax.ts'
import { encodeWithKernels, type EncodeRegions } from './encode-with-kernels.ts'
import { instantiateKernels, type KernelModule } from './kernel-exports.ts'

const WASM_PAGE_BYTES = 65536
/** One below 2 GiB, so that every address fits a positive i32. */
const MEMORY_LIMIT_BYTES = 0x7fff0000
/** Regions start on cache lines. */
const ALIGNMENT_BYTES = 64

export interface EncodeRequest {
  /** BF16[rows, cols], relative to the input region; even. */
  readonly inputOffsetBytes: number
  readonly rows: number
  readonly cols: number
  /** Maximum of the tensor, fused expert or fusion group (f32); read by formats of which `needsTensorAmax` is true. */
  readonly tensorAmax: number
  /** Maximum that a search for block scales measures against. @default tensorAmax */
  readonly searchAmax?: number | undefined
  /** Set for the gate or up half of a fused expert in fp8_pb_wo: where the whole [totalRows, cols] weight lies in the input region. */
  readonly fused?: (FusedHalf & { readonly inputOffsetBytes: number }) | undefined
}

export interface EncodeTarget {
  /** Relative to the output region. The sizes are those of `storedParts`; the regions do not overlap. */
  readonly weightOffsetBytes: number
  readonly weightScaleOffsetBytes: number
}

export class KernelArena {
  readonly #module: KernelModule
  readonly #inputBase: number
  #inputBytes = 0
  #outputBytes = 0

  private constructor(module: KernelModule) {
    this.#module = module
    this.#inputBase = align(module.functions.heapBase())
  }

  /** Instantiates the kernels of kernels.wasm. Throws INVARIANT for a foreign module. */
  static create(wasmBytes: Uint8Array): KernelArena {
    return new KernelArena(instantiateKernels(wasmBytes))
  }

  /** Makes room for at least that many bytes of input and output; never shrinks. Invalidates earlier views, and the output's content.
   *  Throws FILE_TOO_LARGE when both together exceed 2 GiB. */
  reserve(inputBytes: number, outputBytes: number): void {
    this.#inputBytes = Math.max(this.#inputBytes, inputBytes)
    this.#outputBytes = Math.max(this.#outputBytes, outputBytes)
    const neededBytes = this.#outputBase + this.#outputBytes
    if (neededBytes > MEMORY_LIMIT_BYTES) throw tooLarge(neededBytes)
    const { memory } = this.#module
    const missingPages = Math.ceil((neededBytes - memory.buffer.byteLength) / WASM_PAGE_BYTES)
    if (missingPages <= 0) return
    try {
      memory.grow(missingPages)
    } catch (error: unknown) {
      throw tooLarge(neededBytes, error)
    }
  }

  /** `reserve`, and every page of it is the system's now: a later shortage cannot end a run that has begun. */
  claim(inputBytes: number, outputBytes: number): void {
    this.reserve(inputBytes, outputBytes)
    this.input().fill(0)
    this.output().fill(0)
  }

  /** The input region; valid until the next `reserve`. */
  input(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#module.memory.buffer, this.#inputBase, this.#inputBytes)
  }

  /** The output region; valid until the next `reserve`. */
  output(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#module.memory.buffer, this.#outputBase, this.#outputBytes)
  }

  /** Largest magnitude and finiteness of BF16[elementCount] in the input region. */
  scanBf16(inputOffsetBytes: number, elementCount: number): AmaxScan {
    const pattern = this.#amaxPattern16(inputOffsetBytes, elementCount)
    return { amax: bf16ToF32(pattern), isFinite: pattern <= BF16_MAX_FINITE_BITS }
  }

  /** The same of F16[elementCount]. */
  scanF16(inputOffsetBytes: number, elementCount: number): AmaxScan {
    const pattern = this.#amaxPattern16(inputOffsetBytes, elementCount)
    return { amax: f16ToF32(pattern), isFinite: pattern < 0x7c00 }
  }

  /** The same of F32[elementCount]. */
  scanF32(inputOffsetBytes: number, elementCount: number): AmaxScan {
    const address = this.#inputAddress(inputOffsetBytes, elementCount * 4)
    const pattern = this.#module.functions.amaxF32(address, elementCount)
    return { amax: f32FromBits(pattern), isFinite: pattern < 0x7f800000 }
  }

  /** F32[elementCount] of the input region -> BF16 in the output region, ties to even. */
  f32ToBf16(inputOffsetBytes: number, elementCount: number, outputOffsetBytes: number): void {
    const source = this.#inputAddress(inputOffsetBytes, elementCount * 4)
    const target = this.#outputAddress(outputOffsetBytes, elementCount * 2)
    this.#module.functions.f32ToBf16(source, elementCount, target)
  }

  /** F16[elementCount] of the input region -> BF16 in the output region, ties to even. */
  f16ToBf16(inputOffsetBytes: number, elementCount: number, outputOffsetBytes: number): void {
    const source = this.#inputAddress(inputOffsetBytes, elementCount * 2)
    const target = this.#outputAddress(outputOffsetBytes, elementCount * 2)
    this.#module.functions.f16ToBf16(source, elementCount, target)
  }

  /**
   * Encodes BF16[rows, cols] of the input region; `weight` and `weight_scale` land in the output region, weight_scale_2 is returned.
   * Finite input only (scan first). An all-zero tensor with amax 0 gets the NaN bytes of the cuda profile.
   * Throws BLOCK_SIZE_UNSUPPORTED for shapes the format cannot store, INVARIANT for regions outside the reservation.
   */
  encode(
    format: ModuleFormat,
    request: EncodeRequest,
    target: EncodeTarget,
  ): { readonly weightScale2: number | undefined } {
    const { rows, cols, tensorAmax, searchAmax = tensorAmax, fused } = request
    const sizes = storedSizesBytes(storedParts(format, rows, cols, fused))
    const [weightBytes = 0, scaleBytes = 0] = sizes
    const regions: EncodeRegions = {
      source: this.#inputAddress(request.inputOffsetBytes, rows * cols * 2),
      weight: this.#outputAddress(target.weightOffsetBytes, weightBytes),
      weightBytes,
      weightScale: this.#outputAddress(target.weightScaleOffsetBytes, scaleBytes),
      scaleBytes,
    }
    const fusedSource = fused && {
      ...fused,
      address: this.#inputAddress(fused.inputOffsetBytes, fused.totalRows * cols * 2),
    }
    const shape = { rows, cols, tensorAmax, searchAmax, fused: fusedSource }
    return { weightScale2: encodeWithKernels(this.#module, format, shape, regions) }
  }

  get #outputBase(): number {
    return align(this.#inputBase + this.#inputBytes)
  }

  #amaxPattern16(inputOffsetBytes: number, elementCount: number): number {
    return this.#module.functions.amaxBf16(
      this.#inputAddress(inputOffsetBytes, elementCount * 2),
      elementCount,
    )
  }

  #inputAddress(offsetBytes: number, sizeBytes: number): number {
    invariant(
      offsetBytes >= 0 && offsetBytes + sizeBytes <= this.#inputBytes,
      `${offsetBytes} + ${sizeBytes} bytes lie outside the ${this.#inputBytes} bytes of kernel input`,
    )
    return this.#inputBase + offsetBytes
  }

  #outputAddress(offsetBytes: number, sizeBytes: number): number {
    invariant(
      offsetBytes >= 0 && offsetBytes + sizeBytes <= this.#outputBytes,
      `${offsetBytes} + ${sizeBytes} bytes lie outside the ${this.#outputBytes} bytes of kernel output`,
    )
    return this.#outputBase + offsetBytes
  }
}

function align(address: number): number {
  return Math.ceil(address / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
}

function tooLarge(neededBytes: number, cause?: unknown): AppError {
  return new AppError('FILE_TOO_LARGE', {
    subject: 'kernel memory',
    problem: `a tensor needs ${neededBytes} bytes of work memory at once, the limit is ${MEMORY_LIMIT_BYTES} and what the system has free`,
    remedy: 'use fewer workers or free memory',
    cause,
  })
}
