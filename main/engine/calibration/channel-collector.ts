/** Adds up what channel observers report during one layer, by quantizer. Sums are f64, in the order of the runs. */
import type { ChannelReport } from './forward/channel-observer.ts'
import type { ChannelStats } from './stats.ts'

interface Growing {
  readonly width: number
  readonly amax: Float32Array
  readonly sumAbs: Float64Array
}

export class ChannelCollector {
  private readonly byQuantizer = new Map<string, Growing>()

  /** `copies` = experts behind the quantizer, 1 for a linear; `index` = which of them. A NaN stays NaN. */
  add(quantizer: string, copies: number, index: number, { amax, sumAbs }: ChannelReport): void {
    const width = amax.length
    let growing = this.byQuantizer.get(quantizer)
    if (growing === undefined) {
      const size = copies * width
      growing = { width, amax: new Float32Array(size), sumAbs: new Float64Array(size) }
      this.byQuantizer.set(quantizer, growing)
    }
    const start = index * width
    for (let channel = 0; channel < width; channel += 1) {
      const place = start + channel
      const value = amax[channel] ?? Number.NaN
      const present = growing.amax[place] ?? Number.NaN
      if (!(value <= present)) growing.amax[place] = Number.isNaN(present) ? present : value
      growing.sumAbs[place] = (growing.sumAbs[place] ?? 0) + (sumAbs[channel] ?? Number.NaN)
    }
  }

  /** Means over the rows that each copy saw; 0 where none. `rowsOf` = rows by quantizer and copy. */
  finish(rowsOf: (quantizer: string, copy: number) => number): ReadonlyMap<string, ChannelStats> {
    return new Map(
      [...this.byQuantizer].map(([quantizer, { width, amax, sumAbs }]) => {
        const meanAbs = Float32Array.from(sumAbs, (sum, place) => {
          const rows = rowsOf(quantizer, Math.floor(place / width))
          return rows === 0 ? 0 : sum / rows
        })
        return [quantizer, { width, amax, meanAbs }]
      }),
    )
  }
}
