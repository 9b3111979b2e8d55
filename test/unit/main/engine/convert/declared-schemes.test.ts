/** What an export declares, read for a conversion: a cache or experts read as what they are not would be served with wrong values. */
import { LosslessNumber } from 'lossless-json'
import { describe, expect, test } from 'vitest'
import { readDeclaration } from '../../../../../main/engine/convert/declared-schemes.ts'
import { moduleFormats } from '../../../../../main/engine/convert/module-formats.ts'
import type { StoredModule } from '../../../../../main/engine/convert/stored-modules.ts'
import type { JsonObject } from '../../../../../main/engine/formats/hf-config/lossless-json.ts'
import type { WeightFormat } from '../../../../../main/engine/quant/formats.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { headerCheckpoint } from '../../../../tools/header-checkpoint.ts'

const EIGHT = new LosslessNumber('8')

function withCache(scheme: JsonObject): JsonObject {
  return {
    quantization_config: { quant_method: 'compressed-tensors', config_groups: {}, kv_cache_scheme: scheme },
  }
}

describe('KV cache of compressed-tensors', () => {
  const fp8 = { num_bits: EIGHT, type: 'float', strategy: 'tensor', dynamic: false }

  test('static FP8 with one scale', () => {
    expect(readDeclaration(withCache(fp8), undefined).kv).toBe('fp8')
  })

  test.each([
    ['dynamic', { ...fp8, dynamic: true }],
    ['by channel', { ...fp8, strategy: 'channel' }],
    ['of integers', { ...fp8, type: 'int' }],
    ['of 4 bits', { ...fp8, num_bits: new LosslessNumber('4') }],
  ])('%s: refused', async (_, scheme) => {
    const error = await errorOf(() => readDeclaration(withCache(scheme), undefined))
    expect([error.code, error.subject]).toEqual(['DIALECT_UNSUPPORTED', 'KV cache'])
  })
})

test('experts of one layer in two formats are refused by name', async () => {
  const experts = 'model.language_model.layers.0.mlp.experts'
  const stored = (name: string, format: WeightFormat): [string, StoredModule] => [
    name,
    {
      name,
      format: { format, blockSize: undefined, inputScale: undefined },
      rows: 128,
      cols: 256,
      parts: new Map(),
      inputScale: undefined,
    },
  ]
  const modules = new Map([
    stored(`${experts}.0.gate_proj`, 'fp8'),
    stored(`${experts}.1.gate_proj`, 'int8_wo'),
  ])
  const { model } = headerCheckpoint()
  const error = await errorOf(() => moduleFormats({ modules, kv: new Map(), names: new Set() }, model))
  expect([error.code, error.subject]).toEqual(['DIALECT_UNSUPPORTED', `${experts}.1.gate_proj`])
})
