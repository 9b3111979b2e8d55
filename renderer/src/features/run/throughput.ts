/** Throughput over the time of a run, bounded: when the buffer is full, every second sample goes, so the whole run stays in view. */
import type { LineSeries } from '../../charts/line-series.ts'

const CAPACITY = 600

export class ThroughputHistory {
  readonly #seconds = new Float64Array(CAPACITY)
  readonly #rates = new Float64Array(CAPACITY)
  #count = 0
  #strideMs = 0

  get count(): number {
    return this.#count
  }

  clear(): void {
    this.#count = 0
    this.#strideMs = 0
  }

  /** Ignores samples that come earlier than the present resolution shows. True when the series changed. */
  add(elapsedMs: number, bytesPerSecond: number): boolean {
    const last = this.#count === 0 ? -Infinity : (this.#seconds[this.#count - 1] ?? 0) * 1000
    if (elapsedMs <= last || elapsedMs - last < this.#strideMs) return false
    if (this.#count === CAPACITY) this.#halve()
    this.#seconds[this.#count] = elapsedMs / 1000
    this.#rates[this.#count] = bytesPerSecond
    this.#count += 1
    return true
  }

  /** Views of the present samples; valid until the next `add`. */
  series(): LineSeries {
    return { x: this.#seconds.subarray(0, this.#count), y: this.#rates.subarray(0, this.#count) }
  }

  #halve(): void {
    const kept = CAPACITY / 2
    for (let index = 0; index < kept; index += 1) {
      this.#seconds[index] = this.#seconds[index * 2] ?? 0
      this.#rates[index] = this.#rates[index * 2] ?? 0
    }
    this.#count = kept
    const span = ((this.#seconds[kept - 1] ?? 0) - (this.#seconds[0] ?? 0)) * 1000
    this.#strideMs = span / kept
  }
}
