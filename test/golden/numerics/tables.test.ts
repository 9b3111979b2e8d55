/** Scalar functions against tables: all finite BF16 maxima, E4M3 and E2M1 casts. Catches a wrong tie, clamp or reciprocal. */
import { describe, expect, test } from 'vitest'
import { activationScale } from '../../../main/engine/quant/activation-scale.ts'
import { bf16ToF32 } from '../../../main/engine/tensor/bf16.ts'
import { e2m1TiesToEven, e2m1TiesTowardZero } from '../../../main/engine/tensor/e2m1.ts'
import { decodeE4m3, e4m3FromBits } from '../../../main/engine/tensor/e4m3.ts'
import { e8m0ForE2m1, e8m0ForE4m3 } from '../../../main/engine/tensor/e8m0.ts'
import { f32Bits } from '../../../main/engine/tensor/float-bits.ts'
import { readBytes, readF32, readJson, shortHash } from './numeric-fixtures.ts'

const tables = readJson<{ scaleDivision: Record<string, string>; e8m0: Record<string, string> }>(
  'tables.json',
)
// 0x0000 .. 0x7F7F: every non-negative finite BF16 value in ascending order.
const patterns = Uint16Array.from({ length: 0x7f80 }, (_, i) => i)

test('the tables run over all non-negative finite BF16 values', () => {
  expect(shortHash(new Uint8Array(patterns.buffer))).toBe(tables.scaleDivision['amax'])
  expect(tables.e8m0['amax']).toBe(tables.scaleDivision['amax'])
})

test.each([448, 2688, 1536, 6, 7, 127])('amax / %i in the cuda profile', (divisor) => {
  const scales = Float32Array.from(patterns, (pattern) =>
    activationScale(bf16ToF32(pattern), divisor, 'cuda'),
  )
  expect(shortHash(new Uint8Array(scales.buffer))).toBe(tables.scaleDivision[`div_${divisor}`])
})

test.each([
  ['mxfp8', e8m0ForE4m3],
  ['mxfp4', e8m0ForE2m1],
] as const)('exponent bytes of %s', (name, encode) => {
  expect(shortHash(Uint8Array.from(patterns, encode))).toBe(tables.e8m0[name])
})

interface ScaleRow {
  readonly amax: number
  readonly fp8_input_scale: string
  readonly nvfp4_input_scale: string
  readonly int8_input_scale: string
  readonly cpu: {
    readonly fp8_input_scale: string
    readonly nvfp4_input_scale: string
    readonly int8_input_scale: string
  }
}

test.each(readJson<ScaleRow[]>('activation-scales.json'))('activation scales of amax $amax', (row) => {
  const hex = (divisor: number, profile: 'cuda' | 'cpu'): string =>
    `0x${f32Bits(activationScale(row.amax, divisor, profile))
      .toString(16)
      .padStart(8, '0')}`
  expect([hex(448, 'cuda'), hex(2688, 'cuda'), hex(127, 'cuda')]).toEqual([
    row.fp8_input_scale,
    row.nvfp4_input_scale,
    row.int8_input_scale,
  ])
  expect([hex(448, 'cpu'), hex(2688, 'cpu'), hex(127, 'cpu')]).toEqual([
    row.cpu.fp8_input_scale,
    row.cpu.nvfp4_input_scale,
    row.cpu.int8_input_scale,
  ])
})

describe('E4M3', () => {
  const inputs = new Uint32Array(readBytes('e4m3_cast.x.bin').buffer)

  test.each([
    ['e4m3_cast.e4m3.bin', false],
    ['e4m3_cast.e4m3_saturating.bin', true],
  ] as const)('cast as in %s', (file, isSaturating) => {
    const expected = readBytes(file)
    const wrong = [...inputs].filter((bits, i) => e4m3FromBits(bits, isSaturating) !== expected[i])
    expect(wrong.map((bits) => bits.toString(16))).toEqual([])
  })

  test('decodes all bytes', () => {
    const expected = readF32('e4m3_cast.decode.bin')
    expect(Array.from({ length: 256 }, (_, byte) => decodeE4m3(byte))).toEqual([...expected])
  })
})

describe('E2M1', () => {
  const inputs = readF32('e2m1.x.bin')

  test.each([
    ['e2m1.nvfp4.bin', e2m1TiesToEven],
    ['e2m1.mxfp4.bin', e2m1TiesTowardZero],
  ] as const)('codes as in %s', (file, encode) => {
    const expected = readBytes(file)
    const wrong = [...inputs].filter((x, i) => encode(x) !== expected[i])
    expect(wrong).toEqual([])
  })
})
