/**
 * FP8 with one scale per 128 x 128 tile: E4M3 [rows, cols], weight_scale F32 [tileRows, 1, tileCols, 1] or [] for a single tile.
 * Tiles at the right and bottom edge are partial. Source: rules R1, R4, R5, the slicing rule 4 and format 9.3 of the export.
 */
import { amaxBits } from '../../tensor/amax.ts'
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { encodeE4m3 } from '../../tensor/e4m3.ts'
import { divF32 } from '../../tensor/float-bits.ts'
import { activationScale } from '../activation-scale.ts'
import { fusedTileRows, TILE_SIZE, type FusedHalf } from '../layout.ts'
import { f32Writer, type Bf16Matrix, type EncodeContext, type EncodedParts } from '../matrix.ts'

/** f32[tileRows · tileCols] maxima of |w| over 128 x 128 tiles of a [rows, cols] matrix; edge tiles see only what exists. */
export function tileAmaxes(matrix: Bf16Matrix): Float32Array<ArrayBuffer> {
  const tileCols = Math.ceil(matrix.cols / TILE_SIZE)
  const amaxes = new Float32Array(Math.ceil(matrix.rows / TILE_SIZE) * tileCols)
  for (let row = 0; row < matrix.rows; row++) {
    for (let tileCol = 0; tileCol < tileCols; tileCol++) {
      const begin = row * matrix.cols + tileCol * TILE_SIZE
      const end = Math.min(begin + TILE_SIZE, (row + 1) * matrix.cols)
      const tile = Math.floor(row / TILE_SIZE) * tileCols + tileCol
      amaxes[tile] = Math.max(amaxes[tile]!, bf16ToF32(amaxBits(matrix.bits, begin, end)))
    }
  }
  return amaxes
}

/**
 * Part of the tile maxima of a fused [totalRows, cols] expert that its gate or up half uses, by ModelOpt's integer division of the rows.
 * A single fused tile is shared whole. Throws BLOCK_SIZE_UNSUPPORTED where the rows cannot be divided.
 */
export function fusedHalfAmaxes(
  amaxes: Float32Array,
  rows: number,
  cols: number,
  half: FusedHalf,
): Float32Array {
  if (amaxes.length === 1) return amaxes
  const tileCols = Math.ceil(cols / TILE_SIZE)
  const { begin, end } = fusedTileRows(rows, half)
  return amaxes.subarray(begin * tileCols, end * tileCols)
}

/**
 * scale = tileAmax / 448, code = E4M3(w / scale) from an f32 quotient. A zero tile has scale 1.0.
 * `amaxes` are the tile maxima to use: `tileAmaxes(matrix)`, or those of a fused half, where one row of tiles stands for all rows.
 * Maxima that do not cover their rows give NaN codes in the cuda profile and ±448 in the cpu profile.
 */
export function encodeFp8Tile(
  matrix: Bf16Matrix,
  amaxes: Float32Array,
  { profile }: Pick<EncodeContext, 'profile'>,
  parts: EncodedParts,
): void {
  const tileCols = Math.ceil(matrix.cols / TILE_SIZE)
  const lastTileRow = amaxes.length / tileCols - 1
  const scales = amaxes.map((amax) => activationScale(amax === 0 ? 448 : amax, 448, profile))
  const writeScale = f32Writer(parts.weightScale)
  scales.forEach((scale, tile) => writeScale(tile, scale))
  for (let row = 0, i = 0; row < matrix.rows; row++) {
    const tileRow = Math.min(Math.floor(row / TILE_SIZE), lastTileRow)
    for (let col = 0; col < matrix.cols; col++, i++) {
      const scale = scales[tileRow * tileCols + Math.floor(col / TILE_SIZE)]!
      parts.weight[i] = encodeE4m3(divF32(bf16ToF32(matrix.bits[i]!), scale), profile)
    }
  }
}
