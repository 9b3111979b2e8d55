/**
 * Scales that one dialect stores directly and the other as reciprocals. An f32 reciprocal is not always invertible: above a mantissa of √2
 * the reciprocals of neighbouring values lie further apart than the values. What can be recovered is; the rest is counted and recorded.
 * Source: ModelOpt's and compressed-tensors' global scales; a maximum of BF16 data is a BF16 value.
 */
import { roundToBf16 } from '../tensor/bf16.ts'
import { f32Bits, f32FromBits } from '../tensor/float-bits.ts'

export interface Inversion {
  /** f32 that is stored. */
  readonly value: number
  /**
   * `exact`: its reciprocal is the given value. `restored`: it is not, but converting back finds the given value. `recorded`: a record of an
   * earlier conversion named it. `rounded`: converting back gives a neighbour of the given value, unless the record is at hand.
   */
  readonly outcome: 'exact' | 'restored' | 'recorded' | 'rounded'
}

/**
 * The scale that the nearest BF16 maximum gives, by divisor (6 · 448, and 6 · 256 for four-over-six) and by arithmetic, most likely first:
 * CUDA multiplies by the rounded reciprocal of a constant, the CPU divides.
 */
const BF16_SCALES: readonly ((scale: number) => number)[] = [
  (scale) => Math.fround(roundToBf16(scale * 2688) * Math.fround(1 / 2688)),
  (scale) => Math.fround(roundToBf16(scale * 1536) * Math.fround(1 / 1536)),
  (scale) => Math.fround(roundToBf16(scale * 2688) / 2688),
  (scale) => Math.fround(roundToBf16(scale * 1536) / 1536),
]
/** Farther neighbours never have the wanted reciprocal: rounding moves a reciprocal by at most one unit in the last place. */
const REACH = 2

/** The reciprocal of a direct scale: the nearest f32. No neighbour of it ever has `direct` as its own reciprocal when it has not. `recorded` = the value that a record gives for it. Finite and above 0, else NaN or infinity come out. */
export function toReciprocal(direct: number, recorded?: number): Inversion {
  if (recorded !== undefined && reciprocal(recorded) === direct)
    return { value: recorded, outcome: 'recorded' }
  const value = reciprocal(direct)
  return { value, outcome: outcomeOf(value, direct, directFrom(value)) }
}

/** The direct scale of a reciprocal one; among several candidates the one that the maximum of BF16 data gives. */
export function toDirect(inverse: number, recorded?: number): Inversion {
  if (recorded !== undefined && reciprocal(recorded) === inverse)
    return { value: recorded, outcome: 'recorded' }
  const value = directFrom(inverse)
  return { value, outcome: outcomeOf(value, inverse, reciprocal(value)) }
}

function directFrom(inverse: number): number {
  const candidates = preimages(inverse)
  for (const scaleOf of BF16_SCALES) {
    const found = candidates.find((scale) => scaleOf(scale) === scale)
    if (found !== undefined) return found
  }
  return reciprocal(inverse)
}

/** Every f32 whose rounded reciprocal is `value`. */
function preimages(value: number): readonly number[] {
  const nearest = reciprocal(value)
  if (!Number.isFinite(nearest) || nearest <= 0) return []
  const pattern = f32Bits(nearest)
  const found: number[] = []
  for (let step = -REACH; step <= REACH; step += 1) {
    const candidate = f32FromBits(pattern + step)
    if (reciprocal(candidate) === value) found.push(candidate)
  }
  return found
}

function outcomeOf(value: number, given: number, back: number): Inversion['outcome'] {
  if (reciprocal(value) === given && back === given) return 'exact'
  return back === given ? 'restored' : 'rounded'
}

function reciprocal(value: number): number {
  return Math.fround(1 / value)
}
