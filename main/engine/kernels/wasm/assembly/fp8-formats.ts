// FP8 per tensor, per row and per 128 × 128 tile: which divisor which elements get. The arithmetic is in fp8.ts.
import { amaxBf16 } from './amax'
import { divideRun, encodeRun, prepareSteps } from './fp8'
import { CHUNK_BYTES, touch } from './touch'

const F32_UNIT: f64 = 5.9604644775390625e-8 // 2^-24: half a unit in the last place of an f32 in [1, 2)
const BF16_UNIT: f64 = 0.00390625 // 2^-8: the same of a BF16
const TILE: usize = 128

const oneSteps: usize = memory.data(64)

// @ts-ignore: decorator
@inline
function scaleOf(amaxBits: u32, bound: f32): f32 {
  const amax = amaxBits === 0 ? bound : reinterpret<f32>(amaxBits << 16)
  return amax * (<f32>1 / bound)
}

/** One divisor for all: the tensor scale rounded to BF16, quotients rounded to BF16 before the cast. */
export function encodeFp8Tensor(source: usize, count: usize, divisor: f32, weight: usize): void {
  const isPrepared = prepareSteps(divisor, BF16_UNIT, oneSteps)
  const chunk = CHUNK_BYTES / 2
  for (let done: usize = 0; done < count; done += chunk) {
    const part = min(chunk, count - done)
    const from = source + done * 2
    touch(from, part * 2)
    if (isPrepared) encodeRun(from, part, weight + done, oneSteps)
    else divideRun(from, part, weight + done, divisor, true)
  }
}

/** scale[row] = amax / 448, or 1 for a zero row. */
export function encodeFp8Rows(source: usize, rows: usize, cols: usize, weight: usize, scales: usize): void {
  for (let row: usize = 0; row < rows; row++) {
    const from = source + row * cols * 2
    const scale = scaleOf(amaxBf16(from, cols), 448)
    store<f32>(scales + (row << 2), scale)
    if (prepareSteps(scale, F32_UNIT, oneSteps)) encodeRun(from, cols, weight + row * cols, oneSteps)
    else divideRun(from, cols, weight + row * cols, scale, false)
  }
}

/** scale[tileRow, tileCol] = amax / 448, or 1 for a zero tile; edge tiles are partial. */
export function encodeFp8Tiles(source: usize, rows: usize, cols: usize, weight: usize, scales: usize): void {
  const tileCols = (cols + TILE - 1) / TILE
  for (let top: usize = 0; top < rows; top += TILE) {
    const bottom = min<usize>(top + TILE, rows)
    const stripScales = scales + (top / TILE) * tileCols * 4
    touch(source + top * cols * 2, (bottom - top) * cols * 2)
    touch(weight + top * cols, (bottom - top) * cols)
    for (let tile: usize = 0; tile < tileCols; tile++) {
      const width = min<usize>(TILE, cols - tile * TILE)
      let largest: u32 = 0
      for (let row = top; row < bottom; row++) {
        largest = max<u32>(largest, amaxBf16(source + (row * cols + tile * TILE) * 2, width))
      }
      const scale = scaleOf(largest, 448)
      store<f32>(stripScales + (tile << 2), scale)
      const isPrepared = prepareSteps(scale, F32_UNIT, oneSteps)
      for (let row = top; row < bottom; row++) {
        const at = row * cols + tile * TILE
        if (isPrepared) encodeRun(source + at * 2, width, weight + at, oneSteps)
        else divideRun(source + at * 2, width, weight + at, scale, false)
      }
    }
  }
}
