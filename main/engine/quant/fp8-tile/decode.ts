/** Reads back FP8 with one scale per 128 x 128 tile. */
import { decodeE4m3Run } from '../../tensor/e4m3.ts'
import { TILE_SIZE } from '../layout.ts'
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · scale of the tile. Fewer tile rows than the matrix has (a fused half) repeat the last one. */
export function decodeFp8Tile(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const readScale = f32Reader(stored.weightScale)
  const tileCols = Math.ceil(stored.cols / TILE_SIZE)
  const lastTileRow = stored.weightScale.byteLength / 4 / tileCols - 1
  const values = new Float32Array(stored.rows * stored.cols)
  for (let row = 0; row < stored.rows; row++) {
    const tileRow = Math.min(Math.floor(row / TILE_SIZE), lastTileRow)
    for (let col = 0, tile = tileRow * tileCols; col < stored.cols; col += TILE_SIZE, tile++) {
      const count = Math.min(TILE_SIZE, stored.cols - col)
      decodeE4m3Run(stored.weight, values, row * stored.cols + col, count, readScale(tile))
    }
  }
  return values
}
