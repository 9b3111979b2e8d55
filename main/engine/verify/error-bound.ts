/**
 * How far a stored weight may be from its BF16 source. For source value w, decoded value v and the scale s that the stored parts give it:
 *
 * - E4M3 (all FP8 formats, MXFP8): 3 mantissa bits, so half a spacing is at most 2^-4 of the value, and 2^-10 · s where codes are subnormal:
 *   |w − v| ≤ |w| · 2^-4 + s · 2^-10.
 * - Integers: half a step, |w − v| ≤ s / 2.
 * - E2M1 (NVFP4, MXFP4): values 0 0.5 1 1.5 2 3 4 6, half spacings 0.25 up to |v| = 2 s, 0.5 up to 4 s, 1 to 6 s.
 *
 * To each a relative slack for the arithmetic of the writer is added: 2^-7 |w| where scale and quotient are rounded to BF16 on the way (ModelOpt's
 * per-tensor FP8; compressed-tensors), 2^-20 |w| where they are f32. Values beyond the largest code may only be there by as much as the rounding
 * of scales explains: nothing for exact scales, a third (8 / 6) for MX exponents rounded down as the OCP text has it.
 *
 * NVFP4 scales may also be chosen by a search that lets single values saturate. There every code must be the nearest one, and the root mean
 * square error of a block of maximum A must not exceed A / 6 · (1 + 2^-4) + 2^-9 · tensorScale: one step of the plain scale A / 6 after its
 * rounding to E4M3 (relative 2^-4, absolute 2^-10 below 2^-6, at least 2^-9). The plain scale errs by at most one step on any value, and a
 * search never does worse in the sum of squares.
 */
import { weightLayout } from '../quant/layout.ts'
import type { StoredFormat } from './stored-format.ts'

export type CodeKind = 'e4m3' | 'integer' | 'e2m1'

export interface ErrorBound {
  readonly kind: CodeKind
  /** Relative to |w|. */
  readonly slack: number
  /** Largest |w| / s that the code range covers, saturation included; Infinity when a block bound limits it instead. */
  readonly range: number
  /** Largest code value. */
  readonly largest: number
  /** Errors are also bounded per block (NVFP4). */
  readonly hasBlockBound: boolean
  readonly text: string
}

const EXACT = 2 ** -20
const BF16_ARITHMETIC = 2 ** -7

/** The bound of a stored format. */
export function errorBound({ dialect, format, packedBits }: StoredFormat): ErrorBound {
  const isCompressed = dialect === 'compressed-tensors'
  const slack = isCompressed ? BF16_ARITHMETIC : EXACT
  if (packedBits !== undefined) return integer(2 ** (packedBits - 1), slack)
  switch (weightLayout(format.format)) {
    case 'fp8':
      return e4m3(BF16_ARITHMETIC, 1)
    case 'fp8_row':
    case 'fp8_tile':
      return e4m3(slack, 1)
    case 'mxfp8':
      return e4m3(slack, isCompressed ? 512 / 448 : 1)
    case 'int8_row':
      return integer(128, slack)
    case 'int4':
      return integer(8, slack)
    case 'mxfp4':
      return { ...e2m1(slack), range: isCompressed ? 8 : 6 }
    case 'nvfp4':
      return {
        ...e2m1(slack),
        hasBlockBound: true,
        text: `${NEAREST}; block RMS ≤ max/6 · 17/16 + 2^-9 · tensor scale`,
      }
  }
}

const NEAREST = 'nearest E2M1 value'

/** Largest sum of squared errors of an NVFP4 block of `size` values with maximum `amax`. */
export function largestBlockError(amax: number, tensorScale: number, size: number): number {
  const step = (amax / 6) * (1 + 2 ** -4) + 2 ** -9 * tensorScale
  return size * step * step * (1 + 2 ** -10)
}

function e4m3(slack: number, range: number): ErrorBound {
  return {
    kind: 'e4m3',
    slack,
    range: 448 * range,
    largest: 448,
    hasBlockBound: false,
    text: `2^-4 |w| + 2^-10 s${slack === BF16_ARITHMETIC ? ' + 2^-7 |w|' : ''}`,
  }
}

function integer(largest: number, slack: number): ErrorBound {
  return {
    kind: 'integer',
    slack,
    range: largest,
    largest,
    hasBlockBound: false,
    text: `s / 2${slack === BF16_ARITHMETIC ? ' + 2^-7 |w|' : ''}`,
  }
}

function e2m1(slack: number): ErrorBound {
  return { kind: 'e2m1', slack, range: Infinity, largest: 6, hasBlockBound: false, text: NEAREST }
}
