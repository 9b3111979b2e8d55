/** How fast something goes on, from a moving window, so that an estimate follows what the machine does now. Pure: the caller gives the time. */

interface Sample {
  readonly timeMs: number
  readonly done: number
}

export interface ProgressWindow {
  /** Samples older than this are given up… */
  readonly spanMs: number
  /** …but only while what is left still covers this much: progress that comes in bursts is averaged over whole ones. */
  readonly spanDone: number
}

/** Before that, a rate would be made of noise. */
const LEAST_MS = 50

export class ProgressRate {
  readonly #window: ProgressWindow
  #samples: Sample[] = []

  constructor(window: ProgressWindow) {
    this.#window = window
  }

  clear(): void {
    this.#samples = []
  }

  /** `done` never falls, `timeMs` neither. */
  add(timeMs: number, done: number): void {
    this.#samples.push({ timeMs, done })
    let first = 0
    for (; first < this.#samples.length - 2; first += 1) {
      const next = this.#samples[first + 1]
      if (next === undefined || timeMs - next.timeMs < this.#window.spanMs) break
      if (done - next.done < this.#window.spanDone) break
    }
    if (first > 0) this.#samples = this.#samples.slice(first)
  }

  /** Per millisecond, up to `nowMs`: a pause between two bursts lowers it. undefined while too little is known. */
  rate(nowMs: number): number | undefined {
    const first = this.#samples[0]
    const last = this.#samples.at(-1)
    if (first === undefined || last === undefined || last.done <= first.done) return undefined
    const elapsedMs = Math.max(nowMs, last.timeMs) - first.timeMs
    return elapsedMs < LEAST_MS ? undefined : (last.done - first.done) / elapsedMs
  }

  /** Milliseconds until `total` at the present rate. */
  remaining(nowMs: number, total: number): number | undefined {
    const rate = this.rate(nowMs)
    const last = this.#samples.at(-1)
    if (rate === undefined || last === undefined) return undefined
    // What has gone by since the last sample is part of the way to the next.
    return Math.max(0, (total - last.done) / rate - Math.max(0, nowMs - last.timeMs))
  }
}
