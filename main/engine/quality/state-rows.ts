/** Hidden states by row number, however a forward pass has cut its tokens. */
import type { MicroBatch } from '../calibration/hidden-states.ts'

/** Copies rows firstRow.. of f32 [tokens, width] into `target`, which has whole rows. */
export function copyStates(
  batches: readonly MicroBatch[],
  width: number,
  firstRow: number,
  target: Float32Array,
): void {
  const endRow = firstRow + target.length / width
  for (const batch of batches) {
    const from = Math.max(firstRow, batch.firstRow)
    const to = Math.min(endRow, batch.firstRow + batch.batch * batch.time)
    if (from >= to) continue
    const part = batch.hidden.subarray((from - batch.firstRow) * width, (to - batch.firstRow) * width)
    target.set(part, (from - firstRow) * width)
  }
}
