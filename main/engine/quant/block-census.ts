/**
 * How much weight lies under each block scale of a matrix: 256 counts and sums of squares, from which what another table of scales does to
 * the weights follows exactly, without decoding them.
 */
import { E4M3_VALUES } from '../tensor/e4m3.ts'

export interface BlockCensus {
  /** f64[256]: blocks by scale byte. */
  readonly counts: Float64Array
  /** f64[256]: sum of squared codes of the blocks with each scale byte; NaN codes count as nothing. */
  readonly squares: Float64Array
}

export function emptyCensus(): BlockCensus {
  return { counts: new Float64Array(256), squares: new Float64Array(256) }
}

const E2M1_SQUARES = [0, 0.25, 1, 2.25, 4, 9, 16, 36]

/** Squared code values by byte: two E2M1 codes, or one E4M3 code. */
const SQUARES = {
  e2m1: Float64Array.from(
    { length: 256 },
    (_, pair) => E2M1_SQUARES[pair & 7]! + E2M1_SQUARES[(pair >> 4) & 7]!,
  ),
  e4m3: Float64Array.from(E4M3_VALUES, (value) => (Number.isNaN(value) ? 0 : value * value)),
}

/** Adds u8[n] scales and the u8[n · blockBytes] codes under them. */
export function addBlocks(
  census: BlockCensus,
  scales: Uint8Array,
  codes: Uint8Array,
  blockBytes: number,
  kind: 'e2m1' | 'e4m3',
): void {
  const table = SQUARES[kind]
  const { counts, squares } = census
  for (let block = 0; block < scales.length; block += 1) {
    let sum = 0
    for (let at = block * blockBytes, end = at + blockBytes; at < end; at += 1) sum += table[codes[at]!]!
    counts[scales[block]!]! += 1
    squares[scales[block]!]! += sum
  }
}

/** Adds the bytes of a tensor to f64[256] counts. */
export function addBytes(counts: Float64Array, bytes: Uint8Array): void {
  for (const byte of bytes) counts[byte]! += 1
}

/**
 * Relative change of the weights when scale byte b, worth `before[b]`, becomes worth `after[b]`: root of
 * Σ squares · (after − before)² / Σ squares · before². 0 for a matrix of zeros. Bytes whose scale before was no finite number are left out.
 */
export function relativeChange(
  { squares }: BlockCensus,
  before: (byte: number) => number,
  after: (byte: number) => number,
): number {
  let changed = 0
  let total = 0
  for (const [byte, sum] of squares.entries()) {
    if (sum === 0 || !Number.isFinite(before(byte))) continue
    changed += sum * (after(byte) - before(byte)) ** 2
    total += sum * before(byte) ** 2
  }
  return total === 0 ? 0 : Math.sqrt(changed / total)
}
