/**
 * BF16 as binary16 patterns with one power of two for a whole tensor: half the bytes of f32, and exact for every value that is not
 * vanishingly small beside the largest. Arithmetic on patterns, and tables where that does not do, because this runs on every weight.
 */
import { bf16ToF32 } from './bf16.ts'
import { f16ToF32 } from './f16.ts'

/** value = half · 2^−exponent */
export interface ScaledHalf {
  readonly exponent: number
  /** Index of the first NaN or infinity of the source, −1 when all are finite. */
  readonly badIndex: number
}

/** Weights of released models have maxima between 2^−5 and 2^3, for which this exponent fits at once. */
const FIRST_EXPONENT = 13
/** A maximum below this pattern (2^8) is too far from the top of the range: small values would lose bits. */
const LOWEST_GOOD_MAXIMUM = 0x5c00
/** 2^15: where a freshly chosen exponent puts the largest value. */
const TOP_EXPONENT = 15
/** 2^−exponent must be a normal f32. */
const MAX_EXPONENT = 126
const HALF_INFINITY = 0x7c00
const BF16_SPECIAL = 0x7f80
const BF16_BIAS = 127
const HALF_BIAS = 15
/** BF16 patterns of normal halves, without the first. */
const NORMAL_SPAN = 30 * 0x80 - 1
/** Beyond it zeros and BF16's subnormals would lie among the normal halves, and be read with a leading one that they do not have. */
const HIGHEST_PAIR_EXPONENT = BF16_BIAS - HALF_BIAS
/** Patterns that are tried in pairs together. */
const BLOCK = 4096

const tables = new Map<number, Uint16Array>()

/**
 * Converts `sources` (BF16 patterns), one behind the other, into `target`, which has as many elements together. Exact for magnitudes of at
 * least 2^−22 times the largest, below that an absolute error of at most 2^−33 times the largest. All zeros stay zeros; nothing is
 * converted when badIndex ≥ 0.
 */
export function halfFromBf16(sources: readonly Uint16Array[], target: Uint16Array): ScaledHalf {
  const largest = convert(sources, target, FIRST_EXPONENT)
  if (largest < HALF_INFINITY && largest >= LOWEST_GOOD_MAXIMUM)
    return { exponent: FIRST_EXPONENT, badIndex: -1 }
  const maximum = largestPattern(sources)
  if (maximum === 0) return { exponent: FIRST_EXPONENT, badIndex: -1 }
  if (maximum >= BF16_SPECIAL) return { exponent: 0, badIndex: firstSpecial(sources) }
  const binaryExponent = Math.floor(Math.log2(bf16ToF32(maximum)))
  const exponent = Math.min(MAX_EXPONENT, TOP_EXPONENT - binaryExponent)
  convert(sources, target, exponent)
  return { exponent, badIndex: -1 }
}

/** Copies binary16 patterns; exponent 0. */
export function halfFromF16(sources: readonly Uint16Array[], target: Uint16Array): ScaledHalf {
  let position = 0
  for (const source of sources) {
    target.set(source, position)
    position += source.length
  }
  const badIndex = target.findIndex((pattern) => (pattern & HALF_INFINITY) === HALF_INFINITY)
  return { exponent: 0, badIndex }
}

/** Largest magnitude pattern written. */
function convert(sources: readonly Uint16Array[], target: Uint16Array, exponent: number): number {
  let largest = 0
  let position = 0
  for (const source of sources) {
    for (let first = 0; first < source.length; first += BLOCK) {
      const block = source.subarray(first, first + BLOCK)
      const place = target.subarray(position + first, position + first + block.length)
      const inPairs = convertNormalPairs(block, place, exponent)
      largest = Math.max(largest, inPairs >= 0 ? inPairs : convertByTable(block, place, tableOf(exponent)))
    }
    position += source.length
  }
  return largest
}

/**
 * Two patterns at a time, for blocks whose values all become normal halves: then the mantissa is longer and the exponent has another bias,
 * no more. Returns the largest magnitude pattern, or −1 when a value is of another kind (the target holds nonsense then), or the memory or
 * the exponent does not allow it.
 */
function convertNormalPairs(source: Uint16Array, target: Uint16Array, exponent: number): number {
  const isAligned = source.length % 2 === 0 && source.byteOffset % 4 === 0 && target.byteOffset % 4 === 0
  if (!isAligned || exponent > HIGHEST_PAIR_EXPONENT) return -1
  const from = new Uint32Array(source.buffer, source.byteOffset, source.length / 2)
  const to = new Uint32Array(target.buffer, target.byteOffset, from.length)
  const lowest = ((BF16_BIAS - HALF_BIAS - exponent) << 7) + 0x80
  let outside = 0
  let largest = 0
  for (let i = 0; i < from.length; i++) {
    const pair = from[i]!
    const low = (pair & 0x7fff) - lowest
    const high = ((pair >>> 16) & 0x7fff) - lowest
    // Negative when below or above the normal halves.
    outside |= low | (NORMAL_SPAN - low) | high | (NORMAL_SPAN - high)
    to[i] = (pair & 0x80008000) | ((low + 0x80) << 3) | ((high + 0x80) << 19)
    if (low > largest) largest = low
    if (high > largest) largest = high
  }
  return outside < 0 ? -1 : (largest + 0x80) << 3
}

function convertByTable(source: Uint16Array, target: Uint16Array, table: Uint16Array): number {
  let largest = 0
  for (let i = 0; i < source.length; i++) {
    const half = table[source[i]!]!
    target[i] = half
    const magnitude = half & 0x7fff
    if (magnitude > largest) largest = magnitude
  }
  return largest
}

function largestPattern(sources: readonly Uint16Array[]): number {
  let largest = 0
  for (const source of sources) {
    for (const pattern of source) {
      const magnitude = pattern & 0x7fff
      if (magnitude > largest) largest = magnitude
    }
  }
  return largest
}

function firstSpecial(sources: readonly Uint16Array[]): number {
  let position = 0
  for (const source of sources) {
    const index = source.findIndex((pattern) => (pattern & BF16_SPECIAL) === BF16_SPECIAL)
    if (index >= 0) return position + index
    position += source.length
  }
  return -1
}

/** Half patterns of all BF16 patterns times 2^exponent: nearest, ties to even; what does not fit, and NaN, becomes infinity. */
function tableOf(exponent: number): Uint16Array {
  const present = tables.get(exponent)
  if (present !== undefined) return present
  const table = new Uint16Array(0x10000)
  for (let pattern = 0; pattern < 0x8000; pattern++) {
    const half = pattern >= BF16_SPECIAL ? HALF_INFINITY : nearestHalf(bf16ToF32(pattern) * 2 ** exponent)
    table[pattern] = half
    table[pattern | 0x8000] = half | 0x8000
  }
  tables.set(exponent, table)
  return table
}

/** Pattern of a magnitude. Non-negative patterns order like their values, so the nearest is found from the one just below. */
function nearestHalf(magnitude: number): number {
  if (magnitude >= 65520) return HALF_INFINITY
  const below = patternBelow(magnitude)
  const rest = magnitude - f16ToF32(below)
  const gap = f16ToF32(below + 1) - f16ToF32(below)
  if (below === HALF_INFINITY - 1 || rest * 2 < gap) return below
  return rest * 2 > gap || (below & 1) === 1 ? below + 1 : below
}

/** Largest pattern whose value is not above `magnitude` < 65520. */
function patternBelow(magnitude: number): number {
  if (magnitude < 2 ** -14) return Math.floor(magnitude * 2 ** 24)
  const exponent = Math.floor(Math.log2(magnitude))
  return ((exponent + 15) << 10) + Math.floor((magnitude / 2 ** exponent - 1) * 1024)
}
