/** Descriptions as other tools write them: a misread one would judge every tensor by the wrong format. */
import { describe, expect, test } from 'vitest'
import {
  parseJsonObject,
  type JsonObject,
} from '../../../../../main/engine/formats/hf-config/lossless-json.ts'
import { compressedIgnore, modeloptIgnore } from '../../../../../main/engine/verify/ignore-list.ts'
import { readCompressed } from '../../../../../main/engine/verify/read-compressed.ts'
import { readFlat, readNested } from '../../../../../main/engine/verify/read-modelopt.ts'
import { partRules } from '../../../../../main/engine/verify/stored-format.ts'
import { errorOf } from '../../../../tools/expect-error.ts'

const json = (value: unknown): JsonObject =>
  parseJsonObject(new TextEncoder().encode(JSON.stringify(value)), 'test')
const LAYER = 'model.language_model.layers.0'

/** suffix -> dtype and first shape, the way a reader would look for them. */
function parts(stored: Parameters<typeof partRules>[0] | undefined, rows: number, cols: number): unknown {
  if (stored === undefined) return undefined
  return Object.fromEntries(
    partRules(stored, rows, cols).flatMap(({ suffix, dtypes, shapes, isOptional }) =>
      isOptional ? [] : [[suffix, [dtypes[0], shapes?.[0]]]],
    ),
  )
}

describe('exclude lists', () => {
  test('ModelOpt: fnmatch on module names', () => {
    const list = modeloptIgnore(
      ['lm_head', 'model.visual*', 'model.layers.0.*', 'model.layers.[12].mlp'],
      'x',
    )
    const names = [
      'lm_head',
      'lm_head.x',
      'model.visual.merger',
      'model.layers.0.mlp',
      'model.layers.00',
      'model.layers.2.mlp',
      'model.layers.3.mlp',
    ]
    expect(names.map((name) => list.covers(name))).toEqual([true, false, true, true, false, true, false])
  })

  test('compressed-tensors: exact names and expressions from the start', () => {
    const list = compressedIgnore(['lm_head', 're:.*mtp.*', 're:visual', 'model*'], 'x')
    const names = ['lm_head', 'mtp.fc', 'model.visual', 'visual.x', 'model.x', 'model*']
    expect(names.map((name) => list.covers(name))).toEqual([true, true, false, true, false, true])
  })

  test('hostile lists are refused', async () => {
    const many = Array.from({ length: 20_001 }, (_, index) => `a*${String(index)}`)
    expect((await errorOf(() => modeloptIgnore(many, 'config.json'))).code).toBe('CONFIG_INVALID')
    const large = Array.from({ length: 60 }, () => 're:(a{900})')
    expect((await errorOf(() => compressedIgnore(large, 'config.json'))).code).toBe('CONFIG_INVALID')
    expect((await errorOf(() => compressedIgnore(['re:(?=x)'], 'config.json'))).subject).toContain('re:(?=x)')
  })
})

describe('ModelOpt', () => {
  test('flat: block size from the group, algorithms in any case', () => {
    const flat = readFlat(
      json({
        quant_method: 'modelopt',
        quant_algo: 'nvfp4',
        ignore: ['lm_head'],
        config_groups: { group_0: { weights: { num_bits: 4, group_size: 32 }, targets: ['Linear'] } },
        kv_cache_scheme: { type: 'float', num_bits: 8, dynamic: false },
      }),
    )
    expect(flat).toMatchObject({
      algorithm: 'NVFP4',
      kv: 'fp8',
      groupSizes: [32],
      hasTopLevelGroupSize: false,
    })
    expect(flat.formatOf('lm_head', 'linear')).toBeUndefined()
    expect(parts(flat.formatOf(`${LAYER}.self_attn.q_proj`, 'linear'), 64, 128)).toEqual({
      weight: ['U8', [64, 64]],
      weight_scale: ['F8_E4M3', [64, 4]],
      weight_scale_2: ['F32', []],
      input_scale: ['F32', []],
    })
  })

  test('nested: demanded keys may be null, not absent', () => {
    const quantization = { quant_algo: 'NVFP4', group_size: 16, kv_cache_quant_algo: null }
    const nested = readNested(json({ quantization }))
    expect(nested).toMatchObject({ kv: 'none', missingKeys: ['exclude_modules'] })
    expect(readNested(json({ quantization: { quant_algo: 'FP8' } })).missingKeys).toEqual([])
  })

  test('mixed: exact module, then the first entry of a single expert', () => {
    const flat = readFlat(
      json({
        quant_algo: 'MIXED_PRECISION',
        quantized_layers: {
          [`${LAYER}.self_attn.q_proj`]: { quant_algo: 'FP8' },
          [`${LAYER}.mlp.experts.0.gate_proj`]: { quant_algo: 'W4A16_NVFP4', group_size: 16 },
          [`${LAYER}.mlp.experts.0.up_proj`]: { quant_algo: 'FP8' },
        },
      }),
    )
    expect(flat.formatOf(`${LAYER}.self_attn.q_proj`, 'linear')?.name).toBe('FP8')
    expect(flat.formatOf(`${LAYER}.mlp.experts`, 'experts')?.name).toBe('W4A16_NVFP4')
    expect(flat.formatOf(`${LAYER}.self_attn.k_proj`, 'linear')).toBeUndefined()
  })

  test('an algorithm that nobody knows is named', () => {
    expect(readFlat(json({ quant_algo: 'NVFP4_SVD' })).unknownAlgorithms).toEqual(['NVFP4_SVD'])
  })
})

describe('compressed-tensors', () => {
  const weights = {
    num_bits: 4,
    type: 'float',
    strategy: 'tensor_group',
    group_size: 16,
    symmetric: true,
    dynamic: false,
  }
  const base = { quant_method: 'compressed-tensors', ignore: ['lm_head', 're:.*mlp.gate$'] }

  test('NVFP4 with activations', () => {
    const config = readCompressed(
      json({
        ...base,
        format: 'nvfp4-pack-quantized',
        config_groups: {
          group_0: { targets: ['Linear'], weights, input_activations: { ...weights, dynamic: 'local' } },
        },
      }),
    )
    expect(config.formatOf(`${LAYER}.mlp.gate`, 'router')).toBeUndefined()
    expect(config.formatOf(`${LAYER}.linear_attn.conv1d`, 'conv')).toBeUndefined()
    expect(parts(config.formatOf(`${LAYER}.mlp.experts`, 'experts'), 64, 128)).toEqual({
      weight_packed: ['U8', [64, 64]],
      weight_scale: ['F8_E4M3', [64, 8]],
      weight_global_scale: ['F32', []],
      input_global_scale: ['F32', []],
    })
  })

  test('several groups: the first whose targets match', () => {
    const fp8 = { num_bits: 8, type: 'float', symmetric: true, dynamic: false }
    const config = readCompressed(
      json({
        ...base,
        format: 'mixed-precision',
        config_groups: {
          group_0: {
            targets: ['re:.*self_attn.*'],
            format: 'float-quantized',
            weights: { ...fp8, strategy: 'channel' },
            input_activations: { ...fp8, strategy: 'token', dynamic: true },
          },
          group_1: { targets: ['re:.*experts.*'], format: 'nvfp4-pack-quantized', weights },
        },
      }),
    )
    expect(config.algorithm).toBe('MIXED_PRECISION')
    expect(parts(config.formatOf(`${LAYER}.self_attn.q_proj`, 'linear'), 64, 128)).toEqual({
      weight: ['F8_E4M3', [64, 128]],
      weight_scale: ['F32', [64, 1]],
    })
    expect(Object.keys(parts(config.formatOf(`${LAYER}.mlp.experts`, 'experts'), 64, 128) ?? {})).toEqual([
      'weight_packed',
      'weight_scale',
      'weight_global_scale',
    ])
    expect(config.formatOf(`${LAYER}.mlp.shared_expert.up_proj`, 'linear')).toBeUndefined()
  })

  test('integers in words: eight of four bits, the last word padded', () => {
    const int4 = {
      num_bits: 4,
      type: 'int',
      strategy: 'group',
      group_size: 128,
      symmetric: true,
      dynamic: false,
    }
    const config = readCompressed(
      json({
        ...base,
        format: 'pack-quantized',
        config_groups: { group_0: { targets: ['Linear'], weights: int4 } },
      }),
    )
    expect(parts(config.formatOf(`${LAYER}.mlp.experts`, 'experts'), 64, 260)).toEqual({
      weight_packed: ['I32', [64, 33]],
      weight_scale: ['F32', [64, 3]],
      weight_shape: ['I64', [2]],
    })
  })

  test('INT4 with FP8 inputs per token is told from INT4 alone', () => {
    const weights4 = { num_bits: 4, type: 'int', strategy: 'group', group_size: 128, symmetric: true }
    const inputs = { num_bits: 8, type: 'float', strategy: 'token', symmetric: true, dynamic: true }
    const group = { targets: ['Linear'], weights: weights4, input_activations: inputs }
    const config = readCompressed(
      json({ ...base, format: 'pack-quantized', config_groups: { group_0: group } }),
    )
    const stored = config.formatOf(`${LAYER}.mlp.experts`, 'experts')
    expect(stored?.format).toMatchObject({ format: 'w4a8_int4_fp8', blockSize: 128 })
    expect([stored?.input, stored?.inputArithmetic]).toEqual(['none', { kind: 'fp8_token' }])
    expect(parts(stored, 64, 256)).toEqual({
      weight_packed: ['I32', [64, 32]],
      weight_scale: ['F32', [64, 2]],
      weight_shape: ['I64', [2]],
    })
  })

  test('an unknown scheme is refused by name', async () => {
    const odd = { num_bits: 3, type: 'float', strategy: 'block' }
    const action = (): unknown =>
      readCompressed(json({ ...base, config_groups: { group_7: { targets: ['Linear'], weights: odd } } }))
    const error = await errorOf(action)
    expect([error.code, error.subject]).toEqual(['FORMAT_UNSUPPORTED', 'config.json: group_7'])
    expect(error.problem).toContain('float3 block')
  })
})
