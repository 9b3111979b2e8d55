/**
 * The quantized modules of an export: which tensors hold what, checked against the declared format, and what brings them to the internal
 * form. Reads headers only. Source: names, dtypes and shapes of the two dialects.
 */
import { formatShape } from '../../../shared/domain/format-text.ts'
import type { Dtype } from '../../../shared/domain/dtype.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { compressedTensors } from '../dialects/compressed-tensors.ts'
import type { Dialect, DialectPart, PartRole } from '../dialects/dialect.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import { TILE_SIZE, weightLayout } from '../quant/layout.ts'
import type { StoredTransform } from '../quant/packing.ts'
import { schemeOf, type DeclaredQuantization } from './declared-schemes.ts'

export interface StoredPart {
  readonly slice: TensorSlice
  /** From the stored bytes to the internal form; undefined = the same. */
  readonly toInternal: StoredTransform | undefined
}

export interface StoredModule {
  readonly name: string
  readonly format: ModuleFormat
  readonly rows: number
  readonly cols: number
  readonly parts: ReadonlyMap<PartRole, StoredPart>
  readonly inputScale: StoredPart | undefined
}

export interface StoredKvScale {
  /** `….self_attn` */
  readonly module: string
  readonly letter: string
  readonly slice: TensorSlice
}

export interface StoredQuantization {
  /** By kvKey of attention module and letter. */
  readonly kv: ReadonlyMap<string, StoredKvScale>
  readonly modules: ReadonlyMap<string, StoredModule>
  /** Names of all tensors that belong to modules or KV cache. */
  readonly names: ReadonlySet<string>
}

const PART =
  /^(.+)\.(weight_packed|weight_scale|weight_scale_2|weight_global_scale|input_scale|input_global_scale|weight_shape)$/
const KV = /^(.+\.self_attn)\.(?:[kv]_proj\.)?([kv])_scale$/
/** Tensors of forms that only one dialect has. */
const FOREIGN = /\.(weight_zero_point|input_zero_point|weight_g_idx|pre_quant_scale|weight_scale_inv)$/

export function kvKey(module: string, letter: string): string {
  return `${module}/${letter}`
}

/**
 * Finds and checks every quantized module. Throws DIALECT_UNSUPPORTED for zero points, activation orders, rescaled inputs and quantized
 * MTP blocks, CONFIG_INVALID for a module that no scheme targets, TENSOR_MISSING, TENSOR_DTYPE_INVALID, TENSOR_SHAPE_INVALID.
 */
export function readStoredModules(
  tensors: ReadonlyMap<string, TensorSlice>,
  declared: DeclaredQuantization,
  dialect: Dialect,
): StoredQuantization {
  const found = new Set<string>()
  const kv = new Map<string, StoredKvScale>()
  const names = new Set<string>()
  for (const [name, slice] of tensors) {
    if (FOREIGN.test(name)) throw foreign(name)
    const [, attention = '', letter = ''] = KV.exec(name) ?? []
    if (attention !== '') {
      kv.set(kvKey(attention, letter), { module: attention, letter, slice })
      names.add(name)
    }
    const [, module] = PART.exec(name) ?? []
    if (module !== undefined) found.add(module)
  }
  const modules = new Map<string, StoredModule>()
  for (const name of found) {
    if (name.startsWith('mtp.')) throw quantizedMtp(name)
    const module = readModule(name, tensors, declared, dialect)
    modules.set(name, module)
    for (const { slice } of module.parts.values()) names.add(slice.name)
    if (module.inputScale !== undefined) names.add(module.inputScale.slice.name)
  }
  return { modules, kv, names }
}

function readModule(
  name: string,
  tensors: ReadonlyMap<string, TensorSlice>,
  declared: DeclaredQuantization,
  dialect: Dialect,
): StoredModule {
  const scheme = schemeOf(declared, name)
  if (scheme === undefined) {
    throw new AppError('CONFIG_INVALID', {
      subject: name,
      problem: 'it has scales, but no part of the quantization configuration is about it',
      remedy: 'get an undamaged copy of the export',
    })
  }
  const { format } = scheme
  const weight = tensors.get(`${name}.weight_packed`) ?? tensors.get(`${name}.weight`)
  if (weight?.shape.length !== 2) throw missing(`${name}.weight`, format)
  const { rows, cols } = matrixShape(weight, format)
  refuseDividedTiles(tensors.get(`${name}.weight_scale`), format, rows)
  const parts = new Map<PartRole, StoredPart>()
  for (const part of storedParts(dialect, format, weight, rows, cols)) {
    const slice = tensors.get(`${name}.${part.suffix}`)
    if (slice !== undefined) parts.set(part.role, { slice, toInternal: toInternal(slice, part) })
    // Some tools leave out the shape of the matrix, which the weight itself tells.
    else if (part.role !== 'weight_shape') throw missing(`${name}.${part.suffix}`, format)
  }
  const scalar = { role: 'weight_scale', dtype: 'F32', ...dialect.inputScale(format) } as const
  const scale = tensors.get(`${name}.${scalar.suffix}`)
  const inputScale = scale && { slice: scale, toInternal: toInternal(scale, scalar) }
  return { name, format, rows, cols, parts, inputScale }
}

/** Weight-only INT8 may also be stored as plain bytes, the layout of INT8 with quantized inputs. */
function storedParts(
  dialect: Dialect,
  format: ModuleFormat,
  weight: TensorSlice,
  rows: number,
  cols: number,
): readonly DialectPart[] {
  const isPlain = format.format === 'int8_wo' && weight.dtype === 'I8' && dialect === compressedTensors
  return dialect.parts(isPlain ? { ...format, format: 'int8_sq' } : format, rows, cols)
}

/** In ModelOpt's bytes one row of tiles of a fused expert may stand for more than 128 rows of a half. */
function refuseDividedTiles(scale: TensorSlice | undefined, { format }: ModuleFormat, rows: number): void {
  const tileRows = Math.ceil(rows / TILE_SIZE)
  if (weightLayout(format) !== 'fp8_tile' || scale?.shape.length !== 4 || scale.shape[0] === tileRows) return
  throw new AppError('DIALECT_UNSUPPORTED', {
    subject: scale.name,
    problem: `it has ${String(scale.shape[0])} rows of tiles for ${String(rows)} rows, a division of fused experts that only ModelOpt makes`,
    remedy: 'export the checkpoint again with the hardened profile',
  })
}

/** Sizes of the matrix a stored weight stands for. */
function matrixShape({ dtype, shape: [first = 0, last = 0] }: TensorSlice, { format }: ModuleFormat) {
  const layout = weightLayout(format)
  if (dtype === 'I32') return { rows: first, cols: last * (layout === 'int4' ? 8 : 4) }
  if (layout === 'int4') return { rows: first * 2, cols: last }
  const isNibbles = layout === 'nvfp4' || layout === 'mxfp4'
  return { rows: first, cols: isNibbles ? last * 2 : last }
}

const WIDENED: Partial<Record<Dtype, StoredTransform>> = { BF16: 'widen_bf16', F16: 'widen_f16' }
const INVERSE: Partial<Record<StoredTransform, StoredTransform>> = {
  pack_int4: 'unpack_int4',
  offset_int8: 'offset_int8',
}

/** Checks a tensor against what its part must be; scalars may have any rank. */
function toInternal(slice: TensorSlice, part: DialectPart): StoredTransform | undefined {
  const isScale = part.role !== 'weight' && part.dtype === 'F32'
  const widened = isScale ? WIDENED[slice.dtype] : undefined
  // Some tools write the sizes of the matrix in 32 bits; they are not copied.
  const isShape = part.role === 'weight_shape' && slice.dtype === 'I32'
  if (slice.dtype !== part.dtype && widened === undefined && !isShape) {
    throw new AppError('TENSOR_DTYPE_INVALID', {
      subject: slice.name,
      problem: `its dtype is ${slice.dtype}, the declared format stores ${part.dtype}`,
      remedy: 'get an undamaged copy of the export',
    })
  }
  const expected = isScale ? part.shape.filter((size) => size !== 1) : part.shape
  const actual = isScale ? slice.shape.filter((size) => size !== 1) : slice.shape
  if (expected.length !== actual.length || expected.some((size, axis) => size !== actual[axis])) {
    throw new AppError('TENSOR_SHAPE_INVALID', {
      subject: slice.name,
      problem: `its shape is ${formatShape(slice.shape)}, the declared format stores ${formatShape(part.shape)}`,
      remedy: 'get an undamaged copy of the export',
    })
  }
  if (part.transform === 'reciprocal') return 'reciprocal'
  return widened ?? (part.transform === undefined ? undefined : INVERSE[part.transform])
}

function missing(name: string, { format }: ModuleFormat): AppError {
  return new AppError('TENSOR_MISSING', {
    subject: name,
    problem: `the declared format ${format} stores this tensor, the export does not have it`,
    remedy: 'get a complete copy of the export',
  })
}

function foreign(name: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject: name,
    problem: 'this kind of tensor has no counterpart in the other dialect',
    remedy: 'convert an export with symmetric weights in their own order',
  })
}

function quantizedMtp(name: string): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject: name,
    problem: 'the multi-token-prediction block is quantized; it is carried over, never converted',
    remedy: 'convert an export that keeps this block in 16 bit',
  })
}
