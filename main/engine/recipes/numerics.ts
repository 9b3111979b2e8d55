/**
 * The number formats that a recipe can name in `cfg`, as attributes. Names and meaning are ModelOpt's numerics.
 */
import type { BlockSizes, NumBits, QuantizerAttributes } from './recipe.ts'

const PLAIN: QuantizerAttributes = {
  numBits: 8,
  axis: undefined,
  block: undefined,
  isDynamic: false,
  constantAmax: undefined,
  usesConstantAmax: false,
  isFakeQuant: true,
}

function blocked(numBits: NumBits, last: number, block: Partial<BlockSizes>): QuantizerAttributes {
  return {
    ...PLAIN,
    numBits,
    block: {
      last,
      secondLast: undefined,
      isDynamic: true,
      scaleBits: undefined,
      isFourOverSix: false,
      ...block,
    },
  }
}

const nvfp4 = (last: number, block: Partial<BlockSizes> = {}): QuantizerAttributes =>
  blocked('e2m1', last, { scaleBits: 'e4m3', ...block })

export const NUMERICS = {
  fp8: { ...PLAIN, numBits: 'e4m3' },
  fp8_per_channel: { ...PLAIN, numBits: 'e4m3', axis: 0 },
  fp8_per_token: { ...PLAIN, numBits: 'e4m3', isDynamic: true },
  fp8_2d_blockwise: blocked('e4m3', 128, { secondLast: 128, isDynamic: false }),
  int8: PLAIN,
  int8_per_channel: { ...PLAIN, axis: 0 },
  int4_per_block: blocked(4, 128, { isDynamic: false }),
  nvfp4: nvfp4(16),
  nvfp4_bs32: nvfp4(32),
  nvfp4_static: nvfp4(16, { isDynamic: false }),
  nvfp4_four_over_six: nvfp4(16, { isDynamic: false, isFourOverSix: true }),
  mxfp8: blocked('e4m3', 32, { scaleBits: 'e8m0' }),
  mxfp4: blocked('e2m1', 32, { scaleBits: 'e8m0' }),
} as const satisfies Record<string, QuantizerAttributes>

export type NumericsName = keyof typeof NUMERICS

export function isNumericsName(name: string): name is NumericsName {
  return Object.hasOwn(NUMERICS, name)
}

/** Attributes before a `cfg` sets any: 8-bit integer, one scale, calibrated. */
export const DEFAULT_ATTRIBUTES = PLAIN
