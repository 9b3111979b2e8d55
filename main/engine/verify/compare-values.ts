/** Errors of decoded values against their source, run by run of equal scale. The inner loop of verification with a source. */
import type { DecodedChunk } from './decode-chunks.ts'
import { largestBlockError, type ErrorBound } from './error-bound.ts'

/** Sums of one comparison, added to by every chunk. */
export interface ErrorSums {
  squaredError: number
  squaredWeights: number
  /** Largest |error| / bound; errors within the smallest bound of a run are measured by that one. */
  largestShare: number
}

export interface Violations {
  readonly count: number
  /** Index of the first value beyond its bound, or of the first block whose sum of squares is; -1 without one. */
  readonly first: number
}

/** Compares the f32 values of a chunk with their source. A NaN in either, or as scale, is a violation. */
export function compareChunk(
  bound: ErrorBound,
  weights: Float32Array,
  chunk: DecodedChunk,
  sums: ErrorSums,
): Violations {
  const { values, scales, runLength, tensorScale } = chunk
  let count = 0
  let first = -1
  for (let begin = 0, run = 0; begin < values.length; begin += runLength, run += 1) {
    const end = Math.min(values.length, begin + runLength)
    const totals = compareRun(bound, weights, values, begin, end, scales[run] ?? Number.NaN, sums)
    const isBlockBroken =
      totals.count === 0 &&
      bound.hasBlockBound &&
      !(totals.squaredError <= largestBlockError(totals.amax, tensorScale ?? Number.NaN, end - begin))
    if (totals.count === 0 && !isBlockBroken) continue
    if (count === 0) first = isBlockBroken ? begin : totals.first
    count += Math.max(1, totals.count)
  }
  return { count, first }
}

/** Result of the last run; reused, because there are as many runs as blocks. */
const totals = { count: 0, first: -1, squaredError: 0, amax: 0 }

function compareRun(
  { kind, slack, range, largest }: ErrorBound,
  weights: Float32Array,
  values: Float32Array,
  begin: number,
  end: number,
  scale: number,
  sums: ErrorSums,
): typeof totals {
  // Half a spacing: relative and at least `floor` for E4M3, constant for integers, by magnitude for E2M1.
  const isE2m1 = kind === 'e2m1'
  const relative = kind === 'e4m3' ? 2 ** -4 : 0
  const floor = kind === 'e4m3' ? scale * 2 ** -10 : scale / 2
  const quarter = scale * 0.25
  const smallest = isE2m1 ? quarter : floor
  const half = scale * 0.5
  const two = scale * 2
  const four = scale * 4
  const top = largest * scale
  const saturation = range * scale * (1 + slack)
  let squaredError = 0
  let squaredWeights = 0
  let amax = 0
  let count = 0
  let first = -1
  let share = sums.largestShare
  let smallError = 0
  for (let index = begin; index < end; index += 1) {
    const w = weights[index] ?? Number.NaN
    const v = values[index] ?? Number.NaN
    const magnitude = Math.abs(w)
    const error = Math.abs(w - v)
    squaredError += error * error
    squaredWeights += w * w
    amax = Math.max(amax, magnitude)
    // Most values: within the smallest bound of the run, whatever their own is.
    if (error <= smallest) {
      smallError = Math.max(smallError, error)
      continue
    }
    let allowed: number
    if (isE2m1) {
      const larger = Math.max(magnitude, Math.abs(v))
      allowed = larger <= two ? quarter : larger <= four ? half : scale
    } else allowed = Math.max(magnitude * relative, floor)
    // Beyond the largest code a value can only be as near as that code is.
    if (magnitude - top > allowed && magnitude <= saturation) allowed = magnitude - top
    allowed += magnitude * slack
    if (error > share * allowed) share = error / allowed
    if (error <= allowed) continue
    if (count === 0) first = index
    count += 1
  }
  sums.largestShare = smallError > share * smallest ? smallError / smallest : share
  sums.squaredError += squaredError
  sums.squaredWeights += squaredWeights
  totals.count = count
  totals.first = first
  totals.squaredError = squaredError
  totals.amax = amax
  return totals
}
