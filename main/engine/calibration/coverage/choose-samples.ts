/**
 * Which samples to calibrate on so that every expert sees enough tokens: a multi-cover problem, solved greedily. The next sample is always
 * the one that fills most of what is still missing, counted in tokens; the first of equals. Pure and deterministic.
 * Greedy cover is within a factor of 1 + ln(largest gain) of the smallest choice (Wolsey 1982).
 */
import { invariant } from '../../../../shared/errors/app-error.ts'

/** How many tokens of every sample each expert of each layer receives. */
export interface SampleCounts {
  readonly sampleCount: number
  readonly expertCount: number
  /** One array a layer, u32 [samples, experts]. */
  readonly layers: readonly Uint32Array[]
}

export interface OutOfReach {
  readonly layerIndex: number
  readonly expertIndex: number
  /** In all samples that were looked at; fewer than asked for. */
  readonly tokens: number
}

export interface SampleChoice {
  /** Ascending; the first `initialSamples` are always among them. */
  readonly samples: readonly number[]
  /** How many samples, drawn in order, reach the same. */
  readonly inOrderSamples: number
  /** Experts for which all samples together do not have `minTokens` tokens; they get all that there are. */
  readonly outOfReach: readonly OutOfReach[]
}

/** `initialSamples` are taken as they come, whatever they reach. `minTokens` ≥ 1. */
export function chooseSamples(counts: SampleCounts, initialSamples: number, minTokens: number): SampleChoice {
  const totals = totalsOf(counts)
  const wanted = totals.map((total) => Math.min(total, minTokens))
  const missing = new Missing(counts, wanted)
  const chosen = new Set<number>()
  for (let sample = 0; sample < Math.min(initialSamples, counts.sampleCount); sample += 1) {
    missing.take(sample)
    chosen.add(sample)
  }
  const rest = new Map<number, number>()
  for (let sample = initialSamples; sample < counts.sampleCount; sample += 1) rest.set(sample, Infinity)
  while (missing.tokens > 0) {
    const best = bestOf(rest, missing)
    missing.take(best)
    chosen.add(best)
    rest.delete(best)
  }
  return {
    samples: [...chosen].sort((a, b) => a - b),
    inOrderSamples: samplesInOrder(counts, wanted, initialSamples),
    outOfReach: outOfReach(totals, counts.expertCount, minTokens),
  }
}

/**
 * Gains only shrink while samples are taken, so an old gain is an upper bound: a sample is counted again only while its bound is above the
 * best gain so far. `rest` = bound by sample, in ascending order of samples; updated.
 */
function bestOf(rest: Map<number, number>, missing: Missing): number {
  let best = -1
  let bestGain = 0
  for (const [sample, bound] of rest) {
    if (bound <= bestGain) continue
    const gain = missing.gainOf(sample)
    rest.set(sample, gain)
    if (gain > bestGain) [best, bestGain] = [sample, gain]
  }
  invariant(best >= 0, 'tokens are missing that no sample has')
  return best
}

/** What is still missing, by layer and expert. */
class Missing {
  tokens: number
  private readonly counts: SampleCounts
  private readonly left: Int32Array
  /** Places of `left` that are above 0. */
  private open: Int32Array

  constructor(counts: SampleCounts, wanted: Float64Array) {
    this.counts = counts
    this.left = Int32Array.from(wanted)
    this.open = Int32Array.from([...wanted.keys()].filter((place) => (wanted[place] ?? 0) > 0))
    this.tokens = wanted.reduce((sum, count) => sum + count, 0)
  }

  gainOf(sample: number): number {
    let gain = 0
    for (const place of this.open) gain += Math.min(this.left[place] ?? 0, this.countAt(place, sample))
    return gain
  }

  take(sample: number): void {
    for (const place of this.open) {
      const filled = Math.min(this.left[place] ?? 0, this.countAt(place, sample))
      this.left[place] = (this.left[place] ?? 0) - filled
      this.tokens -= filled
    }
    this.open = this.open.filter((place) => (this.left[place] ?? 0) > 0)
  }

  private countAt(place: number, sample: number): number {
    const { expertCount, layers } = this.counts
    const expert = place % expertCount
    return layers[(place - expert) / expertCount]?.[sample * expertCount + expert] ?? 0
  }
}

/** Tokens of all samples together, f64 [layers · experts]. */
function totalsOf({ layers, expertCount }: SampleCounts): Float64Array {
  const totals = new Float64Array(layers.length * expertCount)
  for (const [layer, counts] of layers.entries()) {
    for (const [index, count] of counts.entries()) {
      const place = layer * expertCount + (index % expertCount)
      totals[place] = (totals[place] ?? 0) + count
    }
  }
  return totals
}

function samplesInOrder(counts: SampleCounts, wanted: Float64Array, initialSamples: number): number {
  const missing = new Missing(counts, wanted)
  let taken = 0
  while (taken < counts.sampleCount && (taken < initialSamples || missing.tokens > 0)) missing.take(taken++)
  return taken
}

function outOfReach(totals: Float64Array, expertCount: number, minTokens: number): readonly OutOfReach[] {
  const found: OutOfReach[] = []
  for (const [place, tokens] of totals.entries()) {
    const expertIndex = place % expertCount
    if (tokens < minTokens)
      found.push({ layerIndex: (place - expertIndex) / expertCount, expertIndex, tokens })
  }
  return found
}
