/** Reads back FP8 with one scale per 128 x 128 tile. */
import { decodeE4m3 } from '../../tensor/e4m3.ts'
import { mulF32 } from '../../tensor/float-bits.ts'
import { TILE_SIZE } from '../layout.ts'
import { f32Reader, type StoredMatrix } from '../matrix.ts'

/** f32[rows · cols] = code · scale of the tile. Fewer tile rows than the matrix has (a fused half) repeat the last one. */
export function decodeFp8Tile(stored: StoredMatrix): Float32Array<ArrayBuffer> {
  const readScale = f32Reader(stored.weightScale)
  const tileCols = Math.ceil(stored.cols / TILE_SIZE)
  const lastTileRow = stored.weightScale.byteLength / 4 / tileCols - 1
  const values = new Float32Array(stored.rows * stored.cols)
  for (let row = 0, i = 0; row < stored.rows; row++) {
    const tileRow = Math.min(Math.floor(row / TILE_SIZE), lastTileRow)
    for (let col = 0; col < stored.cols; col++, i++) {
      const scale = readScale(tileRow * tileCols + Math.floor(col / TILE_SIZE))
      values[i] = mulF32(decodeE4m3(stored.weight[i]!), scale)
    }
  }
  return values
}
