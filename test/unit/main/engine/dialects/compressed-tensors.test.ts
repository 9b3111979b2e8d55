/** Names, dtypes and shapes that loaders allocate by; each wrong one is a tensor that silently stays uninitialised. */
import { describe, expect, test } from 'vitest'
import { compressedTensors } from '../../../../../main/engine/dialects/compressed-tensors.ts'
import { modelopt } from '../../../../../main/engine/dialects/modelopt.ts'
import type { ModuleFormat, WeightFormat } from '../../../../../main/engine/quant/formats.ts'
import { errorOf } from '../../../../tools/expect-error.ts'

const of = (format: WeightFormat, blockSize?: number): ModuleFormat => ({
  format,
  blockSize,
  inputScale: undefined,
})
const calibrated = (format: WeightFormat, blockSize?: number): ModuleFormat => ({
  ...of(format, blockSize),
  inputScale: { kind: 'calibrated', divisor: 2688 },
})

describe('tensors of a [256, 384] matrix', () => {
  test.each([
    ['fp8', undefined, ['weight F8_E4M3 256,384', 'weight_scale F32 1']],
    ['fp8_pc_pt', undefined, ['weight F8_E4M3 256,384', 'weight_scale F32 256,1']],
    ['fp8_pb_wo', undefined, ['weight F8_E4M3 256,384', 'weight_scale F32 2,3']],
    ['int8_sq', undefined, ['weight I8 256,384', 'weight_scale F32 256,1']],
    [
      'int8_wo',
      undefined,
      ['weight_packed I32 256,96 offset_int8', 'weight_scale F32 256,1', 'weight_shape I64 2'],
    ],
    ['int4_awq', 128, ['weight_packed I32 256,48 pack_int4', 'weight_scale F32 256,3', 'weight_shape I64 2']],
    [
      'w4a8_int4_fp8',
      128,
      ['weight_packed I32 256,48 pack_int4', 'weight_scale F32 256,3', 'weight_shape I64 2'],
    ],
    [
      'nvfp4',
      16,
      ['weight_packed U8 256,192', 'weight_scale F8_E4M3 256,24', 'weight_global_scale F32 1 reciprocal'],
    ],
    [
      'w4a16_nvfp4_static',
      16,
      ['weight_packed U8 256,192', 'weight_scale F8_E4M3 256,24', 'weight_global_scale F32 1 reciprocal'],
    ],
    ['mxfp4', 32, ['weight_packed U8 256,192', 'weight_scale U8 256,12']],
    ['mxfp8', 32, ['weight F8_E4M3 256,384', 'weight_scale U8 256,12']],
  ] as const)('%s', (format, blockSize, expected) => {
    const parts = compressedTensors.parts(of(format, blockSize), 256, 384)
    const text = parts.map(({ suffix, dtype, shape, transform }) =>
      [suffix, dtype, shape.join(','), transform ?? ''].join(' ').trim(),
    )
    expect(text).toEqual(expected)
  })

  test('a tile scale of a matrix that ends within a tile covers it', () => {
    expect(compressedTensors.parts(of('fp8_pb_wo'), 96, 200)[1]?.shape).toEqual([1, 2])
  })

  test('codes that do not fill whole words are refused', async () => {
    const error = await errorOf(() => compressedTensors.parts(of('int8_wo'), 4, 6))
    expect(error.code).toBe('BLOCK_SIZE_UNSUPPORTED')
  })
})

describe('formats without a counterpart', () => {
  test.each([
    [calibrated('w4a8_nvfp4_fp8', 32), 'w4a8_nvfp4_fp8'],
    [calibrated('w4a8_mxfp4_fp8', 32), 'w4a8_mxfp4_fp8'],
    [of('nvfp4', 16), 'nvfp4'],
  ])('%o', async (format, name) => {
    const error = await errorOf(() => compressedTensors.adopt('model.layers.0.mlp.experts', format))
    expect(error).toMatchObject({ code: 'DIALECT_UNSUPPORTED', subject: 'model.layers.0.mlp.experts' })
    expect(error.problem).toContain(name)
  })

  test.each([of('w4a16_nvfp4', 32), calibrated('nvfp4', 32)])(
    '%o is quantized in blocks of 16, the only ones that loaders have',
    (format) => {
      expect(compressedTensors.adopt('m', format)).toEqual({ ...format, blockSize: 16 })
    },
  )

  test('INT4 with FP8 inputs, in the modelopt dialect', async () => {
    const error = await errorOf(() => modelopt.adopt('model.layers.0.mlp.experts', of('w4a8_int4_fp8', 128)))
    expect(error).toMatchObject({ code: 'DIALECT_UNSUPPORTED', subject: 'model.layers.0.mlp.experts' })
  })

  test('an NVFP4 KV cache', async () => {
    const error = await errorOf(() => compressedTensors.adoptKv('nvfp4_cast'))
    expect(error.code).toBe('DIALECT_UNSUPPORTED')
  })

  test('INT8 with calibrated inputs is held with inputs per token, which loaders of experts need', () => {
    const format = compressedTensors.adopt('m', { ...calibrated('int8_sq'), blockSize: undefined })
    expect(format).toMatchObject({ inputScale: undefined, hasDynamicInput: true })
  })
})
