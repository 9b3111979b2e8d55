/**
 * How a quantized matrix is stored in each dialect: names, dtypes and shapes of its parts, as far as engines read them.
 * Source: ModelOpt's unified export (the `modelopt` rows) and the compressors of compressed-tensors.
 */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { ModuleFormat, WeightFormat } from '../quant/formats.ts'
import type { InputArithmetic } from '../quant/inputs/input-arithmetic.ts'
import { fusedTileRange, storedParts, TILE_SIZE, weightLayout, type FusedHalf } from '../quant/layout.ts'
import type { Dialect } from './rules/engine-rule.ts'

export type PartRole =
  'codes' | 'e4m3_scale' | 'e8m0_scale' | 'float_scale' | 'tensor_scale' | 'input_scale' | 'shape' | 'other'

export interface StoredPartRule {
  readonly suffix: string
  readonly role: PartRole
  readonly dtypes: readonly Dtype[]
  /** Accepted shapes; undefined = any. */
  readonly shapes: readonly (readonly number[])[] | undefined
  readonly isOptional: boolean
}

export interface StoredFormat {
  readonly dialect: Dialect
  /** As declared, for people. */
  readonly name: string
  /** Arithmetic of the stored values; for packed integers only `blockSize` and name are meant. */
  readonly format: ModuleFormat
  /** Integers packed into 32-bit words (`pack-quantized`); undefined for everything that the formats of this product store themselves. */
  readonly packedBits: number | undefined
  readonly hasZeroPoint: boolean
  /** Whether a scale of the inputs is stored. */
  readonly input: 'required' | 'optional' | 'none'
  /** How inputs are rounded at inference; undefined = 16 bit, `unknown` = in a way that is not known here. */
  readonly inputArithmetic: InputArithmetic | 'unknown' | undefined
}

/** Suffixes by which a module is recognised as quantized. */
export const SCALE_SUFFIXES = [
  'weight_scale',
  'weight_scale_2',
  'weight_packed',
  'weight_global_scale',
  'input_scale',
  'input_global_scale',
  'weight_scale_inv',
] as const

const FLOATS: readonly Dtype[] = ['F32', 'BF16', 'F16']
const SCALAR_SHAPES = [[], [1]]

/**
 * Parts of a [rows, cols] matrix. `fused` = its place in a fused expert in fp8_pb_wo, whose tile scales then have either of two shapes. Throws BLOCK_SIZE_UNSUPPORTED when the format cannot hold the shape.
 */
export function partRules(
  stored: StoredFormat,
  rows: number,
  cols: number,
  fused?: FusedHalf,
): readonly StoredPartRule[] {
  return stored.dialect === 'modelopt'
    ? modeloptParts(stored, rows, cols, fused)
    : compressedParts(stored, rows, cols)
}

function modeloptParts(
  stored: StoredFormat,
  rows: number,
  cols: number,
  fused: FusedHalf | undefined,
): readonly StoredPartRule[] {
  const { format, input } = stored
  const parts = storedParts(format, rows, cols).map(({ suffix, dtype, shape }): StoredPartRule => {
    const role =
      suffix === 'weight' ? 'codes' : suffix === 'weight_scale_2' ? 'tensor_scale' : scaleRole(dtype, format)
    const divided = suffix === 'weight_scale' && fused !== undefined ? dividedTiles(rows, cols, fused) : []
    return { suffix, role, dtypes: [dtype], shapes: [shape, ...divided], isOptional: false }
  })
  const extra: StoredPartRule[] = []
  if (input !== 'none') {
    const isOptional = input === 'optional'
    extra.push({ suffix: 'input_scale', role: 'input_scale', dtypes: ['F32'], shapes: [[]], isOptional })
  }
  if (format.format === 'int4_awq' || format.format === 'int8_sq') {
    extra.push({
      suffix: 'pre_quant_scale',
      role: 'other',
      dtypes: FLOATS,
      shapes: [[cols]],
      isOptional: true,
    })
  }
  return [...parts, ...extra]
}

/** Shape of the tile scales of half a fused expert as ModelOpt divides them; none where it cannot. */
function dividedTiles(rows: number, cols: number, fused: FusedHalf): readonly (readonly number[])[] {
  const tileCols = Math.ceil(cols / TILE_SIZE)
  const range = fusedTileRange(rows, fused)
  return range === undefined ? [] : [[range.end - range.begin, 1, tileCols, 1]]
}

function scaleRole(dtype: Dtype, { format }: ModuleFormat): PartRole {
  if (dtype === 'F8_E4M3') return 'e4m3_scale'
  return weightLayout(format).startsWith('mx') ? 'e8m0_scale' : 'float_scale'
}

function compressedParts(stored: StoredFormat, rows: number, cols: number): readonly StoredPartRule[] {
  const parts =
    stored.packedBits === undefined ? compressedFloat(stored, rows, cols) : packed(stored, rows, cols)
  if (stored.input === 'none') return parts
  const suffix = isNvfp4(stored) ? 'input_global_scale' : 'input_scale'
  const isOptional = stored.input === 'optional'
  return [...parts, { suffix, role: 'input_scale', dtypes: FLOATS, shapes: SCALAR_SHAPES, isOptional }]
}

function compressedFloat(stored: StoredFormat, rows: number, cols: number): readonly StoredPartRule[] {
  const { format } = stored
  const layout = weightLayout(format.format)
  const rule = (
    suffix: string,
    role: PartRole,
    dtypes: readonly Dtype[],
    shapes: readonly (readonly number[])[],
  ): StoredPartRule => ({ suffix, role, dtypes, shapes, isOptional: false })
  const codes = (dtype: Dtype): StoredPartRule => rule('weight', 'codes', [dtype], [[rows, cols]])
  switch (layout) {
    case 'fp8':
      return [codes('F8_E4M3'), rule('weight_scale', 'float_scale', FLOATS, SCALAR_SHAPES)]
    case 'fp8_row':
      return [codes('F8_E4M3'), rule('weight_scale', 'float_scale', FLOATS, [[rows, 1], [rows]])]
    case 'int8_row':
      return [codes('I8'), rule('weight_scale', 'float_scale', FLOATS, [[rows, 1], [rows]])]
    case 'fp8_tile': {
      const tiles = [Math.ceil(rows / TILE_SIZE), Math.ceil(cols / TILE_SIZE)]
      return [codes('F8_E4M3'), rule('weight_scale', 'float_scale', FLOATS, [tiles])]
    }
    case 'nvfp4':
    case 'mxfp4':
    case 'mxfp8': {
      // Shapes of codes and block scales are those of the modelopt dialect, under other names.
      const [weight, scale] = storedParts(format, rows, cols)
      const isPacked = layout !== 'mxfp8'
      const blocks = layout === 'nvfp4' ? 'e4m3_scale' : 'e8m0_scale'
      return [
        rule(
          isPacked ? 'weight_packed' : 'weight',
          'codes',
          [isPacked ? 'U8' : 'F8_E4M3'],
          [weight?.shape ?? []],
        ),
        rule('weight_scale', blocks, [layout === 'nvfp4' ? 'F8_E4M3' : 'U8'], [scale?.shape ?? []]),
        ...(layout === 'nvfp4' ? [rule('weight_global_scale', 'tensor_scale', ['F32'], SCALAR_SHAPES)] : []),
      ]
    }
    case 'int4':
      return []
  }
}

function packed(stored: StoredFormat, rows: number, cols: number): readonly StoredPartRule[] {
  const bits = stored.packedBits ?? 4
  const words = Math.ceil(cols / Math.floor(32 / bits))
  const group = stored.format.blockSize
  const groups = group === undefined ? 1 : Math.ceil(cols / group)
  const zeroPoint: StoredPartRule = {
    suffix: 'weight_zero_point',
    role: 'other',
    dtypes: ['I32', 'I8'],
    shapes: undefined,
    isOptional: !stored.hasZeroPoint,
  }
  return [
    { suffix: 'weight_packed', role: 'codes', dtypes: ['I32'], shapes: [[rows, words]], isOptional: false },
    {
      suffix: 'weight_scale',
      role: 'float_scale',
      dtypes: FLOATS,
      shapes: [[rows, groups]],
      isOptional: false,
    },
    { suffix: 'weight_shape', role: 'shape', dtypes: ['I64', 'I32'], shapes: [[2]], isOptional: false },
    zeroPoint,
    { suffix: 'weight_g_idx', role: 'other', dtypes: ['I32', 'I64'], shapes: [[cols]], isOptional: true },
  ]
}

/** True for the family whose tensor scale and input scale engines take once for fused matrices. */
export function isNvfp4(stored: StoredFormat): boolean {
  return stored.packedBits === undefined && weightLayout(stored.format.format) === 'nvfp4'
}

/** A format without activation scale, as data of a declaration. */
export function moduleFormat(format: WeightFormat, blockSize: number | undefined): ModuleFormat {
  return { format, blockSize, inputScale: undefined }
}

/** Equal for matrices that engines can treat alike. */
export function formatKey({ name, format }: StoredFormat): string {
  return `${name} ${format.format} ${String(format.blockSize ?? '-')}`
}
