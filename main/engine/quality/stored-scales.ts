/** Scales of inputs and of the cache as an export stores them, in the direction in which engines multiply. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { KEY_SITE, VALUE_SITE } from '../calibration/forward/full-attention.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { InputArithmetic } from '../quant/inputs/input-arithmetic.ts'
import type { SoundMatrix } from '../verify/check-tensors.ts'
import type { DeclaredKv } from '../verify/declaration.ts'
import type { ExpectedModel } from '../verify/expected-model.ts'
import { readFloats } from '../verify/read-floats.ts'

const NVFP4_BLOCK = 16
/** A cache scale is amax / 448 in either format; blocks of NVFP4 are relative to amax / (6 · 448). */
const E2M1_MAX = 6

export interface StoredScalesOptions {
  /** Reads a whole tensor; scales lie far apart, so nothing is to be read along. */
  readonly read: (tensor: TensorSlice) => Promise<Uint8Array>
  readonly tensors: ReadonlyMap<string, TensorSlice>
  readonly kv: DeclaredKv
  /** Scales that are known and not written yet, by tensor name, as engines multiply. */
  readonly known: ReadonlyMap<string, number>
}

export interface CacheRounding {
  readonly arithmetic: InputArithmetic
  readonly scale: number
}

export class StoredScales {
  private readonly options: StoredScalesOptions

  constructor(options: StoredScalesOptions) {
    this.options = options
  }

  /** NaN when the matrix has none. compressed-tensors stores the reciprocal for NVFP4. */
  async inputScaleOf({ parts, stored }: SoundMatrix): Promise<number> {
    const tensor = parts.find(({ rule }) => rule.role === 'input_scale')?.tensor
    if (tensor === undefined) return Number.NaN
    const known = this.options.known.get(tensor.name)
    if (known !== undefined) return known
    const value = await this.scalar(tensor)
    const isReciprocal = stored.dialect === 'compressed-tensors' && tensor.name.endsWith('_global_scale')
    return isReciprocal ? Math.fround(1 / value) : value
  }

  /** What inputs are multiplied by before they are rounded, f32 [in]. */
  async preScaleOf({ parts }: SoundMatrix): Promise<Float32Array<ArrayBuffer> | undefined> {
    const tensor = parts.find(({ rule }) => rule.suffix === 'pre_quant_scale')?.tensor
    return tensor && readFloats(tensor.dtype, await this.options.read(tensor))
  }

  /** Sites of cached keys and values of a full-attention layer; a cache without stored scales has scale 1. */
  async cacheOf(
    { prefix, text }: ExpectedModel,
    layerIndex: number | undefined,
  ): Promise<ReadonlyMap<string, CacheRounding>> {
    const { kv } = this.options
    const sites = new Map<string, CacheRounding>()
    if (layerIndex === undefined || kv === 'none' || text.layerKinds[layerIndex] !== 'full_attention') {
      return sites
    }
    const module = `${prefix}.layers.${String(layerIndex)}.self_attn`
    for (const [site, letter] of [
      [KEY_SITE, 'k'],
      [VALUE_SITE, 'v'],
    ] as const) {
      const stored = await this.cacheScale(module, letter)
      sites.set(
        site,
        kv === 'fp8'
          ? { arithmetic: { kind: 'fp8_tensor' }, scale: stored ?? 1 }
          : nvfp4Cache(stored, text.headDim, module),
      )
    }
    return sites
  }

  private async cacheScale(module: string, letter: string): Promise<number | undefined> {
    const { known, tensors } = this.options
    for (const name of [`${module}.${letter}_proj.${letter}_scale`, `${module}.${letter}_scale`]) {
      const value = known.get(name)
      if (value !== undefined) return value
      const tensor = tensors.get(name)
      if (tensor !== undefined) return this.scalar(tensor)
    }
    return undefined
  }

  private async scalar(tensor: TensorSlice): Promise<number> {
    return readFloats(tensor.dtype, await this.options.read(tensor))[0] ?? Number.NaN
  }
}

function nvfp4Cache(stored: number | undefined, headDim: number, module: string): CacheRounding {
  if (headDim % NVFP4_BLOCK !== 0) {
    throw new AppError('BLOCK_SIZE_UNSUPPORTED', {
      subject: module,
      problem: `heads of ${String(headDim)} channels cannot be cached in blocks of ${String(NVFP4_BLOCK)}`,
      remedy: 'use an FP8 cache',
    })
  }
  const scale = stored === undefined ? 1 : Math.fround(stored / E2M1_MAX)
  return { arithmetic: { kind: 'nvfp4', blockSize: NVFP4_BLOCK }, scale }
}
