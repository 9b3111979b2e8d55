/** Stored layout of formats: catches a wrong shape, dtype, order or refusal, all of which the planner would write into headers. */
import { describe, expect, test } from 'vitest'
import { WEIGHT_FORMATS, type ModuleFormat, type WeightFormat } from '../../../main/engine/quant/formats.ts'
import {
  activationDivisor,
  bitsPerWeight,
  fusedTileRows,
  needsTensorAmax,
  sharesGroupAmax,
  storedParts,
  tensorScaleDivisor,
} from '../../../main/engine/quant/layout.ts'

const named = (format: WeightFormat, blockSize?: number): ModuleFormat => ({
  format,
  blockSize,
  inputScale: undefined,
})
const describeParts = (...operands: Parameters<typeof storedParts>): string[] =>
  storedParts(...operands).map(({ suffix, dtype, shape }) => `${suffix} ${dtype} [${shape.join(',')}]`)

test.each([
  ['fp8', undefined, ['weight F8_E4M3 [256,512]', 'weight_scale F32 []']],
  ['fp8_pc_pt', undefined, ['weight F8_E4M3 [256,512]', 'weight_scale F32 [256]']],
  ['fp8_pb_wo', undefined, ['weight F8_E4M3 [256,512]', 'weight_scale F32 [2,1,4,1]']],
  ['int8_sq', undefined, ['weight I8 [256,512]', 'weight_scale F32 [256]']],
  ['int8_wo', undefined, ['weight I8 [256,512]', 'weight_scale F32 [256]']],
  ['int4_awq', 128, ['weight U8 [128,512]', 'weight_scale F32 [256,4]']],
  ['nvfp4', 16, ['weight U8 [256,256]', 'weight_scale F8_E4M3 [256,32]', 'weight_scale_2 F32 []']],
  ['nvfp4_static', 16, ['weight U8 [256,256]', 'weight_scale F8_E4M3 [256,32]', 'weight_scale_2 F32 []']],
  ['w4a16_nvfp4', 32, ['weight U8 [256,256]', 'weight_scale F8_E4M3 [256,16]', 'weight_scale_2 F32 []']],
  ['w4a8_nvfp4_fp8', 32, ['weight U8 [256,256]', 'weight_scale F8_E4M3 [256,16]', 'weight_scale_2 F32 []']],
  ['mxfp8', 32, ['weight F8_E4M3 [256,512]', 'weight_scale U8 [256,16]']],
  ['mxfp4', 32, ['weight U8 [256,256]', 'weight_scale U8 [256,16]']],
  ['w4a8_mxfp4_fp8', 32, ['weight U8 [256,256]', 'weight_scale U8 [256,16]']],
] as const)('%s of [256, 512]', (format, blockSize, expected) => {
  expect(describeParts(named(format, blockSize), 256, 512)).toEqual(expected)
})

describe('fp8_pb_wo tiles', () => {
  const tiles = named('fp8_pb_wo')

  test.each([
    [128, 128, '[]'],
    [1, 1, '[]'],
    [129, 128, '[2,1,1,1]'],
    [100, 300, '[1,1,3,1]'],
  ])('%i x %i', (rows, cols, shape) => {
    expect(describeParts(tiles, rows, cols)[1]).toBe(`weight_scale F32 ${shape}`)
  })

  test('a half of a fused expert keeps four dimensions unless the whole is a single tile', () => {
    const half = (rows: number, cols: number): string | undefined =>
      describeParts(tiles, rows, cols, { startRow: 0, totalRows: 2 * rows })[1]
    expect(half(64, 128)).toBe('weight_scale F32 []')
    expect(half(96, 128)).toBe('weight_scale F32 [1,1,1,1]')
    expect(half(128, 128)).toBe('weight_scale F32 [1,1,1,1]')
    expect(half(256, 256)).toBe('weight_scale F32 [2,1,2,1]')
  })

  test('fused rows are divided by integer arithmetic', () => {
    expect(fusedTileRows(96, { startRow: 0, totalRows: 192 })).toEqual({ begin: 0, end: 1 })
    expect(fusedTileRows(96, { startRow: 96, totalRows: 192 })).toEqual({ begin: 1, end: 2 })
    expect(fusedTileRows(150, { startRow: 0, totalRows: 300 })).toEqual({ begin: 0, end: 1 })
    expect(fusedTileRows(150, { startRow: 150, totalRows: 300 })).toEqual({ begin: 1, end: 3 })
  })

  test.each([
    [32, 'one tile row for both halves'],
    [160, 'rows that are no multiple of the tile rows'],
  ])('2 x %i rows are refused: %s', (rows) => {
    expect(() => storedParts(tiles, rows, 256, { startRow: 0, totalRows: 2 * rows })).toThrow(
      /BLOCK_SIZE_UNSUPPORTED/,
    )
  })
})

test.each([
  [named('nvfp4', 16), 64, 24],
  [named('w4a16_nvfp4', 32), 64, 48],
  [named('mxfp4', 32), 64, 33],
  [named('mxfp8'), 64, 16],
  [named('int4_awq', 128), 64, 64],
  [named('int4_awq', 128), 63, 128],
  [named('nvfp4', 8), 64, 64],
  [named('nvfp4', 0), 64, 64],
  [named('nvfp4', 16.5), 64, 66],
  [named('mxfp8', 64), 64, 64],
  [named('nvfp4', 16), 64, 0],
])('%o refuses %i x %i', (format, rows, cols) => {
  expect(() => storedParts(format, rows, cols)).toThrow(/BLOCK_SIZE_UNSUPPORTED/)
})

test('formats that need the tensor maximum, and those that share it in a fusion group', () => {
  const nvfp4Family = ['nvfp4', 'nvfp4_static', 'w4a16_nvfp4', 'w4a16_nvfp4_static', 'w4a8_nvfp4_fp8']
  expect(WEIGHT_FORMATS.filter(needsTensorAmax)).toEqual(['fp8', ...nvfp4Family])
  expect(WEIGHT_FORMATS.filter(sharesGroupAmax)).toEqual(nvfp4Family)
})

test.each([
  ['nvfp4', 16, 4.5],
  ['w4a16_nvfp4', 32, 4.25],
  ['mxfp4', undefined, 4.25],
  ['mxfp8', undefined, 8.25],
  ['int4_awq', undefined, 4.25],
  ['fp8', undefined, 8],
  ['fp8_pb_wo', undefined, 8.001953125],
] as const)('%s block %s stores %d bits per weight', (format, blockSize, bits) => {
  expect(bitsPerWeight(named(format, blockSize))).toBe(bits)
})

test('divisors of activation and tensor scales', () => {
  const divisors = WEIGHT_FORMATS.map((format) => [format, activationDivisor(format)] as const)
  expect(divisors.filter(([, divisor]) => divisor !== undefined)).toEqual([
    ['fp8', 448],
    ['int8_sq', 127],
    ['nvfp4', 2688],
    ['nvfp4_static', 2688],
    ['w4a8_nvfp4_fp8', 448],
    ['w4a8_mxfp4_fp8', 448],
  ])
  expect(tensorScaleDivisor(named('nvfp4'))).toBe(2688)
  expect(tensorScaleDivisor(named('w4a8_nvfp4_fp8'))).toBe(448)
  expect(tensorScaleDivisor({ ...named('nvfp4_static'), search: 'four_over_six' })).toBe(1536)
  expect(tensorScaleDivisor({ ...named('nvfp4_static'), search: 'mse' })).toBe(2688)
})
