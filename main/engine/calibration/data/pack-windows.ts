/** Joins token lists and cuts them into windows of fixed length, without padding; what does not fill a window at the end is dropped. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { TokenBatch } from '../hidden-states.ts'

export class WindowPacker {
  private readonly ids: Int32Array
  private readonly sequenceLength: number
  private count = 0

  /** Both at least 1. */
  constructor(samples: number, sequenceLength: number) {
    this.sequenceLength = sequenceLength
    this.ids = new Int32Array(samples * sequenceLength)
  }

  get isFull(): boolean {
    return this.count === this.ids.length
  }

  /** Appends tokens; those beyond the last window are ignored. */
  add(tokens: readonly number[]): void {
    const fitting = Math.min(tokens.length, this.ids.length - this.count)
    for (let index = 0; index < fitting; index += 1) this.ids[this.count + index] = tokens[index] ?? 0
    this.count += fitting
  }

  /** The complete windows, or one shorter window when there is less than one. Throws CALIBRATION_DATA_EMPTY for fewer than two tokens. */
  finish(name: string): TokenBatch {
    if (this.count < 2) {
      throw new AppError('CALIBRATION_DATA_EMPTY', {
        subject: name,
        problem: 'it has no text, or not even two tokens of it',
        remedy: 'give a file with text',
      })
    }
    const time = Math.min(this.sequenceLength, this.count)
    const batch = Math.floor(this.count / time)
    return { batch, time, ids: this.ids.slice(0, batch * time) }
  }
}
