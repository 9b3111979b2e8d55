/**
 * A dialect: how the one internal form of a quantized module (ModelOpt's: value = code · scale, direct scales) is named, shaped and packed
 * on disk. Planners ask for parts; what has to happen to the bytes is an explicit transform on each part, never read off a name.
 */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import type { KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import type { FusedHalf } from '../quant/layout.ts'
import type { StoredTransform } from '../quant/packing.ts'

/** What a tensor of a quantized module holds. `weight_shape` holds the two sizes of the matrix. */
export type PartRole = 'weight' | 'weight_scale' | 'weight_scale_2' | 'weight_shape'

export interface DialectPart {
  readonly role: PartRole
  /** Tensor name = `<module>.<suffix>`. */
  readonly suffix: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** From the internal form to this one; undefined = the same bytes. */
  readonly transform: StoredTransform | undefined
}

/** A stored f32 scalar. */
export interface DialectScalar {
  readonly suffix: string
  /** `[]` or `[1]`. */
  readonly shape: readonly number[]
  readonly transform: 'reciprocal' | undefined
}

export interface Dialect {
  readonly name: DialectChoice
  /** The format as this dialect holds it. Throws DIALECT_UNSUPPORTED naming `module`, format and reason when it has no counterpart. */
  adopt(module: string, format: ModuleFormat): ModuleFormat
  /** Throws DIALECT_UNSUPPORTED for a KV cache format that cannot be declared. */
  adoptKv(kv: KvCacheFormat): KvCacheFormat
  /**
   * Tensors of a [rows, cols] matrix, weight first; `fused` as for storedParts (only ModelOpt divides tiles of fused experts).
   * Throws BLOCK_SIZE_UNSUPPORTED when the format cannot hold the shape.
   */
  parts(format: ModuleFormat, rows: number, cols: number, fused?: FusedHalf): readonly DialectPart[]
  inputScale(format: ModuleFormat): DialectScalar
  /** Name and shape of the scale of keys or values of an attention module (`….self_attn`); always direct. */
  kvScale(module: string, letter: 'k' | 'v'): { readonly name: string; readonly shape: readonly number[] }
}
