/**
 * What a quantized matrix is stored as: dtypes and shapes of its parts, bits per weight, and which maxima and divisors its format needs.
 * Pure arithmetic on shapes; the values are computed by the folder of each format. Source: keys of ModelOpt's unified export, by format.
 */
import { tensorSizeBytes, type Dtype } from '../../../shared/domain/dtype.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ModuleFormat, WeightFormat } from './formats.ts'

/** Place of a gate or up matrix within the fused [totalRows, cols] weight of its expert. */
export interface FusedHalf {
  readonly startRow: number
  readonly totalRows: number
}

export interface StoredPart {
  readonly suffix: 'weight' | 'weight_scale' | 'weight_scale_2'
  readonly dtype: Dtype
  readonly shape: readonly number[]
}

/** Side of the square tiles that share a scale in `fp8_pb_wo`. */
export const TILE_SIZE = 128

type WeightLayout = 'fp8' | 'fp8_row' | 'fp8_tile' | 'int8_row' | 'int4' | 'nvfp4' | 'mxfp8' | 'mxfp4'

interface FormatFacts {
  readonly layout: WeightLayout
  /** Block size when the recipe gives none; undefined for formats without blocks along the last axis. */
  readonly defaultBlockSize: number | undefined
  /** c of `scale = amax / c` for a stored activation scale; undefined where the format never stores one. */
  readonly activationDivisor: number | undefined
}

const FACTS = {
  fp8: { layout: 'fp8', defaultBlockSize: undefined, activationDivisor: 448 },
  fp8_pc_pt: { layout: 'fp8_row', defaultBlockSize: undefined, activationDivisor: undefined },
  fp8_pb_wo: { layout: 'fp8_tile', defaultBlockSize: undefined, activationDivisor: undefined },
  int8_sq: { layout: 'int8_row', defaultBlockSize: undefined, activationDivisor: 127 },
  int8_wo: { layout: 'int8_row', defaultBlockSize: undefined, activationDivisor: undefined },
  int4_awq: { layout: 'int4', defaultBlockSize: 128, activationDivisor: undefined },
  w4a8_int4_fp8: { layout: 'int4', defaultBlockSize: 128, activationDivisor: undefined },
  nvfp4: { layout: 'nvfp4', defaultBlockSize: 16, activationDivisor: 2688 },
  nvfp4_static: { layout: 'nvfp4', defaultBlockSize: 16, activationDivisor: 2688 },
  w4a16_nvfp4: { layout: 'nvfp4', defaultBlockSize: 16, activationDivisor: undefined },
  w4a16_nvfp4_static: { layout: 'nvfp4', defaultBlockSize: 16, activationDivisor: undefined },
  w4a8_nvfp4_fp8: { layout: 'nvfp4', defaultBlockSize: 32, activationDivisor: 448 },
  mxfp8: { layout: 'mxfp8', defaultBlockSize: 32, activationDivisor: undefined },
  mxfp4: { layout: 'mxfp4', defaultBlockSize: 32, activationDivisor: undefined },
  w4a8_mxfp4_fp8: { layout: 'mxfp4', defaultBlockSize: 32, activationDivisor: 448 },
} as const satisfies Record<WeightFormat, FormatFacts>

/**
 * The tensors that a [rows, cols] matrix becomes, in the order weight, weight_scale, weight_scale_2.
 * `fused` (matters to fp8_pb_wo only) is set when the matrix is the gate or up half of a fused expert whose tile maxima are divided
 * by rows as ModelOpt does it; undefined gives the matrix tiles of its own. A single tile, fused or own, has a 0-dim scale.
 * Throws BLOCK_SIZE_UNSUPPORTED when a block does not divide cols, int4 rows are odd, or fused tiles cannot be divided.
 */
export function storedParts(
  format: ModuleFormat,
  rows: number,
  cols: number,
  fused?: FusedHalf,
): readonly StoredPart[] {
  const layout = weightLayout(format.format)
  const perRow: StoredPart = { suffix: 'weight_scale', dtype: 'F32', shape: [rows] }
  const scalar: StoredPart = { suffix: 'weight_scale', dtype: 'F32', shape: [] }
  const matrix = (dtype: Dtype, shape: readonly number[]): StoredPart => ({ suffix: 'weight', dtype, shape })
  switch (layout) {
    case 'fp8':
      return [matrix('F8_E4M3', [rows, cols]), scalar]
    case 'fp8_row':
      return [matrix('F8_E4M3', [rows, cols]), perRow]
    case 'int8_row':
      return [matrix('I8', [rows, cols]), perRow]
    case 'fp8_tile':
      return [matrix('F8_E4M3', [rows, cols]), { ...scalar, shape: tileScaleShape(rows, cols, fused) }]
    case 'int4':
      if (rows % 2 !== 0) throw unsupported(format, `${rows} rows cannot be packed in pairs`)
      return [
        matrix('U8', [rows / 2, cols]),
        { suffix: 'weight_scale', dtype: 'F32', shape: [rows, blockCount(format, cols)] },
      ]
    case 'nvfp4':
      return [
        matrix('U8', [rows, cols / 2]),
        { suffix: 'weight_scale', dtype: 'F8_E4M3', shape: [rows, blockCount(format, cols)] },
        { suffix: 'weight_scale_2', dtype: 'F32', shape: [] },
      ]
    case 'mxfp8':
      return [
        matrix('F8_E4M3', [rows, cols]),
        { suffix: 'weight_scale', dtype: 'U8', shape: [rows, blockCount(format, cols)] },
      ]
    case 'mxfp4':
      return [
        matrix('U8', [rows, cols / 2]),
        { suffix: 'weight_scale', dtype: 'U8', shape: [rows, blockCount(format, cols)] },
      ]
  }
}

/** True for formats whose scales need the maximum of the whole tensor before the first block: fp8 and the NVFP4 family. */
export function needsTensorAmax(format: WeightFormat): boolean {
  const layout = weightLayout(format)
  return layout === 'fp8' || layout === 'nvfp4'
}

/** True where separate linears of a fusion group share that maximum (NVFP4 family; fp8 keeps one each). Gate and up of a fused
 *  expert share it in every format that needs one. */
export function sharesGroupAmax(format: WeightFormat): boolean {
  return weightLayout(format) === 'nvfp4'
}

/** Stored bits per weight, block, row and tile scales included for a large matrix (scales per row and per tensor count as 0). */
export function bitsPerWeight(format: ModuleFormat): number {
  switch (weightLayout(format.format)) {
    case 'fp8':
    case 'fp8_row':
    case 'int8_row':
      return 8
    case 'fp8_tile':
      return 8 + 32 / (TILE_SIZE * TILE_SIZE)
    case 'int4':
      return 4 + 32 / blockSizeOf(format)
    case 'nvfp4':
    case 'mxfp4':
      return 4 + 8 / blockSizeOf(format)
    case 'mxfp8':
      return 8 + 8 / blockSizeOf(format)
  }
}

/** c of `input_scale = amax / c`; undefined for formats that store no activation scale. */
export function activationDivisor(format: WeightFormat): number | undefined {
  return FACTS[format].activationDivisor
}

/** c of `weight_scale_2 = amax / c` of the NVFP4 family: 6·448, 448 for FP8 activations, 6·256 for four-over-six. */
export function tensorScaleDivisor(format: ModuleFormat): number {
  if (format.format === 'w4a8_nvfp4_fp8') return 448
  return format.search === 'four_over_six' ? 1536 : 2688
}

/** Which arithmetic and storage a format uses; several format names share one. */
export function weightLayout(format: WeightFormat): WeightLayout {
  return FACTS[format].layout
}

/** True when block scales come from a search over the weights (NVFP4 static). */
export function isStaticBlockFormat(format: WeightFormat): boolean {
  return format === 'nvfp4_static' || format === 'w4a16_nvfp4_static'
}

/** Block size along the last axis. Throws BLOCK_SIZE_UNSUPPORTED for sizes the format does not have. */
export function blockSizeOf(format: ModuleFormat): number {
  const layout = weightLayout(format.format)
  const blockSize = format.blockSize ?? FACTS[format.format].defaultBlockSize
  const isAllowed =
    blockSize !== undefined &&
    Number.isInteger(blockSize) &&
    blockSize > 0 &&
    (layout === 'nvfp4'
      ? blockSize % 16 === 0
      : layout === 'int4'
        ? blockSize % 2 === 0
        : layout.startsWith('mx') && blockSize === 32)
  if (!isAllowed) throw unsupported(format, `block size ${String(blockSize)} does not exist in this format`)
  return blockSize
}

/** Bytes of the parts, in the order of `storedParts`. */
export function storedSizesBytes(parts: readonly StoredPart[]): readonly number[] {
  return parts.map((part) => tensorSizeBytes(part.dtype, part.shape))
}

/**
 * Tile rows [begin, end) of a fused expert's tile maxima that a half is given, by ModelOpt's integer rule: exact when rows % 128 = 0,
 * otherwise the maxima do not cover the rows they are used for. One tile row is used for all rows of the half.
 * Throws BLOCK_SIZE_UNSUPPORTED where ModelOpt raises: nothing is left for the half, or neither one tile row nor one per 128 rows.
 */
export function fusedTileRows(rows: number, half: FusedHalf): TileRange {
  const range = fusedTileRange(rows, half)
  if (range !== undefined) return range
  const tileRows = Math.ceil(half.totalRows / TILE_SIZE)
  throw new AppError('BLOCK_SIZE_UNSUPPORTED', {
    subject: 'fp8_pb_wo',
    problem: `the ${tileRows} tile rows of a fused expert with ${half.totalRows} rows cannot be divided between gate and up, where ModelOpt fails as well`,
    remedy: 'use the hardened profile or a format without tiles',
  })
}

interface TileRange {
  readonly begin: number
  readonly end: number
}

/** The same, or undefined where ModelOpt raises. */
export function fusedTileRange(rows: number, { startRow, totalRows }: FusedHalf): TileRange | undefined {
  const tileRows = Math.ceil(totalRows / TILE_SIZE)
  const begin = Math.floor((startRow * tileRows) / totalRows)
  const end = Math.floor(((startRow + rows) * tileRows) / totalRows)
  const isUsable = end - begin === 1 || (end > begin && end - begin === Math.ceil(rows / TILE_SIZE))
  return totalRows % tileRows === 0 && isUsable ? { begin, end } : undefined
}

/** True when both halves of a fused expert with gates of `rows` rows get as many rows of tiles as they would have alone. */
export function fusedTilesFit(rows: number): boolean {
  return [0, rows].every((startRow) => {
    const range = fusedTileRange(rows, { startRow, totalRows: 2 * rows })
    return range !== undefined && range.end - range.begin === Math.ceil(rows / TILE_SIZE)
  })
}

function tileScaleShape(rows: number, cols: number, fused: FusedHalf | undefined): readonly number[] {
  const tileRows = Math.ceil((fused?.totalRows ?? rows) / TILE_SIZE)
  const tileCols = Math.ceil(cols / TILE_SIZE)
  if (tileRows * tileCols === 1) return []
  if (fused === undefined) return [tileRows, 1, tileCols, 1]
  const { begin, end } = fusedTileRows(rows, fused)
  return [end - begin, 1, tileCols, 1]
}

function blockCount(format: ModuleFormat, cols: number): number {
  const blockSize = blockSizeOf(format)
  if (cols === 0 || cols % blockSize !== 0) {
    throw unsupported(format, `${cols} columns are not a multiple of the block size ${blockSize}`)
  }
  return cols / blockSize
}

function unsupported(format: ModuleFormat, problem: string): AppError {
  return new AppError('BLOCK_SIZE_UNSUPPORTED', {
    subject: format.format,
    problem,
    remedy: 'leave this module unquantized or choose another format for it',
  })
}
