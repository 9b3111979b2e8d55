/** The stated bounds are laws of the encoders: no matrix of any kind may exceed them, and a worse code may not stay within. */
import { describe, expect, test } from 'vitest'
import { decodeMatrix } from '../../../main/engine/quant/decode-matrix.ts'
import { encodeMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat, WeightFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'
import { bf16ToF32Array } from '../../../main/engine/tensor/bf16.ts'
import { decodeE4m3 } from '../../../main/engine/tensor/e4m3.ts'
import { compareChunk, type ErrorSums } from '../../../main/engine/verify/compare-values.ts'
import { errorBound } from '../../../main/engine/verify/error-bound.ts'
import { moduleFormat, type StoredFormat } from '../../../main/engine/verify/stored-format.ts'
import { fc, runs } from '../../tools/properties.ts'

function stored(format: ModuleFormat, dialect: StoredFormat['dialect'] = 'modelopt'): StoredFormat {
  return {
    dialect,
    name: format.format,
    format,
    packedBits: undefined,
    hasZeroPoint: false,
    input: 'none',
    inputArithmetic: undefined,
  }
}

/** Values like those of weights over a few binades, zeros, and single outliers; blocks of zeros. */
function matrix(rows: number, cols: number): fc.Arbitrary<Bf16Matrix> {
  const weight = fc
    .tuple(fc.integer({ min: 0, max: 0x7f }), fc.integer({ min: 0x6e, max: 0x7e }), fc.boolean())
    .map(([mantissa, exponent, isNegative]) => (isNegative ? 0x8000 : 0) | (exponent << 7) | mantissa)
  const element = fc.oneof(
    { weight: 12, arbitrary: weight },
    { weight: 2, arbitrary: fc.constantFrom(0, 0x8000) },
    { weight: 1, arbitrary: fc.integer({ min: 0x7f, max: 0x86 }).map((exponent) => exponent << 7) },
  )
  return fc
    .array(element, { minLength: rows * cols, maxLength: rows * cols })
    .filter((values) => values.some((value) => (value & 0x7fff) !== 0))
    .map((values) => ({ bits: Uint16Array.from(values), rows, cols }))
}

interface Kind {
  readonly format: ModuleFormat
  readonly rows: number
  readonly cols: number
  /** Values that share a scale, given the stored bytes. */
  readonly runLength: number
}

const kind = (format: WeightFormat, blockSize: number | undefined, runLength: number, cols = 64): Kind => ({
  format: moduleFormat(format, blockSize),
  rows: 2,
  cols,
  runLength,
})

const KINDS: readonly Kind[] = [
  kind('fp8', undefined, 128),
  kind('fp8_pc_pt', undefined, 64),
  kind('int8_wo', undefined, 64),
  kind('int4_awq', 128, 128, 128),
  kind('nvfp4', 16, 16),
  kind('w4a16_nvfp4', 32, 32),
  { ...kind('nvfp4_static', 16, 16), format: { ...moduleFormat('nvfp4_static', 16), search: 'mse' } },
  {
    ...kind('nvfp4_static', 16, 16),
    format: { ...moduleFormat('nvfp4_static', 16), search: 'four_over_six' },
  },
  kind('mxfp8', 32, 32),
  kind('mxfp4', 32, 32),
]

function scalesOf(
  { format, runLength, rows, cols }: Kind,
  bytes: Uint8Array,
  tensorScale: number | undefined,
): Float32Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return Float32Array.from({ length: (rows * cols) / runLength }, (_, run) => {
    if (tensorScale !== undefined) return Math.fround(decodeE4m3(bytes[run] ?? 0) * tensorScale)
    return format.format.startsWith('mx') ? 2 ** ((bytes[run] ?? 0) - 127) : view.getFloat32(run * 4, true)
  })
}

describe.each(KINDS)('$format.format, block $format.blockSize, search $format.search', (of) => {
  test('no encoded value is beyond its bound', () => {
    fc.assert(
      fc.property(matrix(of.rows, of.cols), (source) => {
        const encoded = encodeMatrix(of.format, source, 'cuda')
        const values = decodeMatrix(of.format, { ...source, ...encoded })
        const scales = scalesOf(of, encoded.weightScale, encoded.weightScale2)
        const sums: ErrorSums = { squaredError: 0, squaredWeights: 0, largestShare: 0 }
        const chunk = {
          firstRow: 0,
          rowCount: of.rows,
          values,
          scales,
          runLength: of.runLength,
          tensorScale: encoded.weightScale2,
        }
        const found = compareChunk(errorBound(stored(of.format)), bf16ToF32Array(source.bits), chunk, sums)
        expect(found).toEqual({ count: 0, first: -1 })
        expect(sums.largestShare).toBeLessThanOrEqual(1)
      }),
      runs(150),
    )
  })
})

describe('what is beyond', () => {
  const compare = (
    format: WeightFormat,
    weights: readonly number[],
    values: readonly number[],
    scale: number,
    tensorScale?: number,
  ): number => {
    const sums: ErrorSums = { squaredError: 0, squaredWeights: 0, largestShare: 0 }
    const chunk = {
      firstRow: 0,
      rowCount: 1,
      values: Float32Array.from(values),
      scales: Float32Array.of(scale),
      runLength: values.length,
      tensorScale,
    }
    return compareChunk(
      errorBound(stored(moduleFormat(format, undefined))),
      Float32Array.from(weights),
      chunk,
      sums,
    ).count
  }

  test.each([
    ['nvfp4: 2.4 is 2, not 3', 'nvfp4', 2.4, 3, 1, 1],
    ['nvfp4: 2.5 may be 2 or 3', 'nvfp4', 2.5, 3, 0, 1],
    ['nvfp4: 5.1 is 6, not 4', 'nvfp4', 5.1, 4, 1, 1],
    ['nvfp4: the wrong sign', 'nvfp4', -1, 1, 1, 1],
    ['mxfp4: 7 is beyond the range of its scale', 'mxfp4', 7.2, 6, 1, 1],
    ['int8: half a step and no more', 'int8_wo', 3.5, 4, 0, 1],
    ['int8: a whole step', 'int8_wo', 3, 4, 1, 1],
    ['mxfp8: half of a spacing of 32', 'mxfp8', 272, 256, 0, 1],
    ['mxfp8: a spacing', 'mxfp8', 288, 256, 1, 1],
    ['mxfp8: NaN', 'mxfp8', 1, Number.NaN, 1, 1],
    ['mxfp8: NaN scale', 'mxfp8', 1, 1, 1, Number.NaN],
  ] as const)('%s', (_, format, weight, value, count, scale) => {
    // The 6 makes the scale a plausible one for the block.
    expect(compare(format, [weight, 6], [value, 6], scale, 1) > 0).toBe(count > 0)
  })

  test('nvfp4: a block whose scale lets most values saturate', () => {
    // Every code is the nearest one, but a plain scale would have been four times as large.
    expect(compare('nvfp4', Array(16).fill(24), Array(16).fill(6), 1, 2 ** -9)).toBe(1)
    expect(
      compare('nvfp4', [24, ...Array<number>(15).fill(0)], [24, ...Array<number>(15).fill(0)], 4, 2 ** -9),
    ).toBe(0)
  })
})
