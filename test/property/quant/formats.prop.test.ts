/** Laws of every format on the reference encoders: error bounds, code stability, signs and zeros, independence of rows. */
import { describe, expect, test } from 'vitest'
import { decodeMatrix } from '../../../main/engine/quant/decode-matrix.ts'
import { encodeMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat, WeightFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'
import { scanBf16 } from '../../../main/engine/tensor/amax.ts'
import { bf16FromF32Array, bf16ToF32, bf16ToF32Array, f32ToBf16 } from '../../../main/engine/tensor/bf16.ts'
import { E2M1_VALUES, e2m1TiesToEven, e2m1TiesTowardZero } from '../../../main/engine/tensor/e2m1.ts'
import { decodeE4m3, encodeE4m3 } from '../../../main/engine/tensor/e4m3.ts'
import { divF32, mulF32, roundHalfEven } from '../../../main/engine/tensor/float-bits.ts'
import { bf16Matrix } from '../../tools/bf16-arbitraries.ts'
import { fc, runs } from '../../tools/properties.ts'

const RUNS = runs(200)

interface FormatLaw {
  readonly format: WeightFormat
  readonly blockSize: number | undefined
  readonly colStep: number
  readonly rowStep: number
  /** Largest |decoded - w| as a share of the maximum that the scale comes from, for values not below 2^-100. */
  readonly errorShare: number
}

// FP8: half a step at 448 is 16, plus the scale rounded to BF16 (2^-9) per tensor. INT: half a code. NVFP4: half the step between 4 and 6,
// plus a block scale rounded down by 1/17 at most that saturates the maximum. MX: half of the widest step, up to a factor 2 in the scale.
const LAWS: readonly FormatLaw[] = [
  { format: 'fp8', blockSize: undefined, colStep: 1, rowStep: 1, errorShare: 16 / 448 + 2 ** -7 },
  { format: 'fp8_pc_pt', blockSize: undefined, colStep: 1, rowStep: 1, errorShare: 16.1 / 448 },
  { format: 'fp8_pb_wo', blockSize: undefined, colStep: 1, rowStep: 1, errorShare: 16.1 / 448 },
  { format: 'int8_wo', blockSize: undefined, colStep: 1, rowStep: 1, errorShare: 0.501 / 127 },
  { format: 'int4_awq', blockSize: 128, colStep: 128, rowStep: 2, errorShare: 0.501 / 7 },
  { format: 'nvfp4', blockSize: 16, colStep: 16, rowStep: 1, errorShare: 1.1 / 6 + 1 / 16 },
  { format: 'w4a16_nvfp4', blockSize: 32, colStep: 32, rowStep: 1, errorShare: 1.1 / 6 + 1 / 16 },
  { format: 'mxfp8', blockSize: 32, colStep: 32, rowStep: 1, errorShare: 32 / 448 },
  { format: 'mxfp4', blockSize: 32, colStep: 32, rowStep: 1, errorShare: 2 / 6 },
]

const moduleFormat = ({ format, blockSize }: FormatLaw): ModuleFormat => ({
  format,
  blockSize,
  inputScale: undefined,
})

function decoded(format: ModuleFormat, matrix: Bf16Matrix, amax?: number): Float32Array {
  const encoded = encodeMatrix(format, matrix, 'cuda', amax)
  return decodeMatrix(format, { ...encoded, rows: matrix.rows, cols: matrix.cols })
}

const rowOf = (matrix: Bf16Matrix, begin: number, end: number): Bf16Matrix => ({
  bits: matrix.bits.slice(begin * matrix.cols, end * matrix.cols),
  rows: end - begin,
  cols: matrix.cols,
})

/** Matrices whose maximum lies between 2^-100 and 2^15: below, scales are f32 subnormals and lose precision; above, products overflow. */
function ordinaryMatrix(colStep: number, rowStep: number): fc.Arbitrary<Bf16Matrix> {
  const largest = f32ToBf16(2 ** 15)
  return bf16Matrix(colStep, rowStep).map((matrix) => {
    const bits = matrix.bits.map((pattern) => Math.min(pattern & 0x7fff, largest) | (pattern & 0x8000))
    if (scanBf16(bits).amax < 2 ** -100) bits[0] = 0x3f80
    return { ...matrix, bits }
  })
}

describe.each(LAWS)('$format block $blockSize', (law) => {
  const format = moduleFormat(law)

  test('decoding stays within the error bound of the maximum', () => {
    fc.assert(
      fc.property(ordinaryMatrix(law.colStep, law.rowStep), (matrix) => {
        const limit = scanBf16(matrix.bits).amax * law.errorShare
        const values = decoded(format, matrix)
        const worst = bf16ToF32Array(matrix.bits).reduce(
          (largest, value, i) => Math.max(largest, Math.abs(value - values[i])),
          0,
        )
        expect(worst).toBeLessThanOrEqual(limit)
      }),
      RUNS,
    )
  })

  test('zeros decode to zeros', () => {
    fc.assert(
      fc.property(ordinaryMatrix(law.colStep, law.rowStep), (matrix) => {
        const values = decoded(format, matrix)
        const wrong = values.filter((value, i) => (matrix.bits[i] & 0x7fff) === 0 && value !== 0)
        expect(wrong).toHaveLength(0)
      }),
      RUNS,
    )
  })
})

// Tiles span rows: fp8_pb_wo has a test of its own.
test.each(LAWS.filter(({ format }) => format !== 'fp8_pb_wo'))(
  '$format block $blockSize: rows encoded apart equal the whole, given the tensor maximum',
  (law) => {
    const format = moduleFormat(law)
    fc.assert(
      fc.property(bf16Matrix(law.colStep, law.rowStep), (matrix) => {
        const { amax } = scanBf16(matrix.bits)
        const whole = encodeMatrix(format, matrix, 'cuda', amax)
        const parts = Array.from({ length: matrix.rows / law.rowStep }, (_, i) =>
          encodeMatrix(format, rowOf(matrix, i * law.rowStep, (i + 1) * law.rowStep), 'cuda', amax),
        )
        expect(Buffer.concat(parts.map(({ weight }) => weight))).toEqual(Buffer.from(whole.weight))
        if (law.format === 'fp8') return
        expect(Buffer.concat(parts.map(({ weightScale }) => weightScale))).toEqual(
          Buffer.from(whole.weightScale),
        )
      }),
      RUNS,
    )
  },
)

test('fp8_pb_wo tile rows encoded apart equal the whole', () => {
  fc.assert(
    fc.property(bf16Matrix(1, 128), (matrix) => {
      const format: ModuleFormat = { format: 'fp8_pb_wo', blockSize: undefined, inputScale: undefined }
      const whole = encodeMatrix(format, matrix, 'cuda')
      const parts = Array.from({ length: matrix.rows / 128 }, (_, i) =>
        encodeMatrix(format, rowOf(matrix, i * 128, (i + 1) * 128), 'cuda'),
      )
      expect(Buffer.concat(parts.map(({ weight }) => weight))).toEqual(Buffer.from(whole.weight))
      expect(Buffer.concat(parts.map(({ weightScale }) => weightScale))).toEqual(
        Buffer.from(whole.weightScale),
      )
    }),
    runs(10),
  )
})

/** Normal f32 scales of both kinds of rounding. */
const scale = fc
  .tuple(fc.double({ min: 1, max: 2, noNaN: true }), fc.integer({ min: -60, max: 60 }))
  .map(([significand, exponent]) => Math.fround(significand * 2 ** exponent))

describe('re-encoding a decoded value with the same scale gives the same code', () => {
  test('E4M3', () => {
    fc.assert(
      fc.property(scale, (step) => {
        for (let byte = 0; byte < 256; byte++) {
          if ((byte & 0x7f) === 0x7f) continue
          expect(encodeE4m3(divF32(mulF32(decodeE4m3(byte), step), step), 'cuda')).toBe(byte)
        }
      }),
      RUNS,
    )
  })

  test.each([
    ['NVFP4 (its negative zero becomes zero)', e2m1TiesToEven, 8, 0],
    ['MXFP4 (its positive zero becomes negative zero)', e2m1TiesTowardZero, 0, 8],
  ] as const)('E2M1 of %s', (_name, encode, otherZero, zero) => {
    fc.assert(
      fc.property(scale, (step) => {
        E2M1_VALUES.forEach((value, code) => {
          expect(encode(divF32(mulF32(value, step), step))).toBe(code === otherZero ? zero : code)
        })
      }),
      RUNS,
    )
  })

  test('INT8', () => {
    fc.assert(
      fc.property(scale, fc.integer({ min: -128, max: 127 }), (step, code) => {
        expect(roundHalfEven(divF32(mulF32(code, step), step))).toBe(code === 0 ? 0 : code)
      }),
      RUNS,
    )
  })
})

describe('policies for signs and specials', () => {
  test('a tiny negative value is code 8 in NVFP4, -0 is code 0; MXFP4 has 8 for both', () => {
    expect([e2m1TiesToEven(-1e-30), e2m1TiesToEven(-0), e2m1TiesToEven(0)]).toEqual([8, 0, 0])
    expect([e2m1TiesTowardZero(-1e-30), e2m1TiesTowardZero(-0), e2m1TiesTowardZero(0)]).toEqual([8, 8, 8])
  })

  test('NaN and infinities saturate or stay NaN as the packing does', () => {
    expect([e2m1TiesToEven(Number.NaN), e2m1TiesToEven(Infinity), e2m1TiesToEven(-Infinity)]).toEqual([
      7, 7, 15,
    ])
    expect([encodeE4m3(Infinity, 'cuda'), encodeE4m3(-Infinity, 'cuda')]).toEqual([0x7f, 0xff])
    expect([encodeE4m3(Infinity, 'cpu'), encodeE4m3(-Infinity, 'cpu')]).toEqual([0x7e, 0xfe])
  })

  test('a NaN in the data is reported as not finite with a NaN maximum', () => {
    expect(scanBf16(Uint16Array.of(0x3f80, 0x7fc0, 0x4000))).toEqual({ amax: Number.NaN, isFinite: false })
    expect(scanBf16(Uint16Array.of(0xff80))).toEqual({ amax: Infinity, isFinite: false })
    expect(scanBf16(new Uint16Array(0))).toEqual({ amax: 0, isFinite: true })
  })
})

describe('BF16', () => {
  test('every pattern survives f32 and back', () => {
    for (let pattern = 0; pattern < 65536; pattern++) {
      const isNan = (pattern & 0x7fff) > 0x7f80
      expect(f32ToBf16(bf16ToF32(pattern))).toBe(isNan ? 0x7fc0 : pattern)
    }
  })

  test.each([
    [1 + 2 ** -8, 0x3f80, 'tie to even, down'],
    [1 + 3 * 2 ** -8, 0x3f82, 'tie to even, up'],
    [1 + 2 ** -8 + 2 ** -20, 0x3f81, 'above the tie'],
    [3.4e38, 0x7f80, 'overflow'],
    [-(2 ** -134), 0x8000, 'half of the smallest subnormal'],
    [2 ** -133, 0x0001, 'smallest subnormal'],
  ])('%d -> %i (%s)', (value, pattern) => {
    expect([...bf16FromF32Array(Float32Array.of(value))]).toEqual([pattern])
  })
})
