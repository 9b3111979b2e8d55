/** Conversion of existing exports: a byte that changes on the way there and back, or a scale that loses its direction, is silent corruption. */
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import {
  convertExport,
  type ConvertReport,
  type ConvertRequest,
} from '../../../main/host/convert/convert-export.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { fixtureAmax } from '../../tools/fixture-amax.ts'
import { readExport, readQuantizationConfig, writeShard, type RawTensor } from '../../tools/read-export.ts'
import { relayoutSample } from '../../tools/relayout.ts'
import { hashExport, runForTest, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

async function convert(
  exportPath: string,
  dialect: DialectChoice,
  options: Partial<ConvertRequest> = {},
): Promise<ConvertReport> {
  const request: ConvertRequest = {
    exportPath,
    outputPath: join(await temporaryFolder(), 'converted'),
    dialect,
    profile: 'identical',
    maxShardSizeBytes: undefined,
    workers: 2,
    canOverwrite: false,
    ...options,
  }
  return convertExport(request, TEST_ENVIRONMENT, { progress: () => undefined, isCancelled: () => false })
}

async function exported(recipe: string, dialect: DialectChoice, shardBytes = 4_000_000): Promise<string> {
  const options = { recipe, dialect, profile: 'identical' as const, maxShardSizeBytes: shardBytes }
  return (await runForTest({ options })).outputPath
}

describe('ModelOpt -> compressed-tensors -> ModelOpt', () => {
  test.each([
    'nvfp4_experts_only_input_scale1-kv_fp8_cast',
    'w4a16_nvfp4-kv_fp8_cast',
    'int4_blockwise_weight_only',
    'int8_weight_only',
    'mxfp4',
    'mxfp8-kv_fp8_cast',
    'fp8_per_channel_per_token',
    'fp8_2d_blockwise_weight_only',
  ])('%s: every file is the same again', async (recipe) => {
    const original = await exported(recipe, 'modelopt')
    const there = await convert(original, 'compressed-tensors')
    expect(there.isReversible).toBe(true)
    expect(there.reciprocals.rounded).toBe(0)
    const back = await convert(there.displayPath, 'modelopt')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original))
  })

  test('calibrated W4A4 with a KV cache', async () => {
    const recipe = 'nvfp4_default-kv_fp8'
    const options = { recipe, profile: 'hardened' as const, maxShardSizeBytes: 4_000_000 }
    const original = await runForTest({ amaxPath: await fixtureAmax(recipe), options })
    const there = await convert(original.outputPath, 'compressed-tensors')
    expect(there.reciprocals).toMatchObject({ total: 818, rounded: 0 })
    const back = await convert(there.displayPath, 'modelopt', { profile: 'hardened' })
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original.outputPath))
  })

  test('mixed formats, and what run writes in one step', async () => {
    const options = {
      recipe: 'qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast',
      profile: 'identical' as const,
      maxShardSizeBytes: 4_000_000,
    }
    const amaxPath = await fixtureAmax(options.recipe)
    const original = await runForTest({ amaxPath, options: { ...options, dialect: 'modelopt' } })
    const there = await convert(original.outputPath, 'compressed-tensors')
    expect(there.reciprocals).toMatchObject({ total: 397, rounded: 0 })
    const direct = await runForTest({ amaxPath, options: { ...options, dialect: 'compressed-tensors' } })
    const converted = await readExport(there.displayPath)
    const written = await readExport(direct.outputPath)
    expect([...converted.keys()].sort()).toEqual([...written.keys()].sort())
    for (const [name, { bytes }] of written) expect(converted.get(name)?.bytes.equals(bytes), name).toBe(true)
    expect(await readQuantizationConfig(there.displayPath)).toEqual(
      await readQuantizationConfig(direct.outputPath),
    )
    const back = await convert(there.displayPath, 'modelopt')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original.outputPath))
  })

  test('a text-only export with flat names in one file', async () => {
    const checkpointPath = await relayoutSample({ experts: 'per_expert', prefix: 'model', shards: 1 })
    const options = { recipe: 'w4a16_nvfp4-kv_fp8_cast', profile: 'identical' as const }
    const original = await runForTest({ checkpointPath, options })
    const there = await convert(original.outputPath, 'compressed-tensors')
    const back = await convert(there.displayPath, 'modelopt')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original.outputPath))
  })

  test('scalars that no rule brings back are recorded, and the record brings them back', async () => {
    const original = await exported('w4a16_nvfp4', 'modelopt', 1e9)
    const tensors = await readExport(original)
    const name = 'model.language_model.layers.1.mlp.experts.5.down_proj.weight_scale_2'
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(0x3ff80001)
    const odd = new Map(tensors).set(name, { dtype: 'F32', shape: [], bytes })
    await writeShard(original, odd)
    const there = await convert(original, 'compressed-tensors')
    expect(there.reciprocals.rounded).toBe(1)
    const back = await convert(there.displayPath, 'modelopt')
    expect(back.reciprocals.recorded).toBe(1)
    expect((await readExport(back.displayPath)).get(name)?.bytes.readUInt32LE(0)).toBe(0x3ff80001)
  })
})

test('a dialect that cannot say that inputs stay in 16 bit does not promise the way back', async () => {
  const original = await exported('mxfp4_mlp_weight_only', 'compressed-tensors')
  const report = await convert(original, 'modelopt')
  expect(report.isReversible).toBe(false)
  expect(report.notes.join()).toContain('16 bit')
})

describe('compressed-tensors -> ModelOpt -> compressed-tensors', () => {
  // Shards so small that sizes of packed matrices begin some of them.
  test.each([
    ['int4_blockwise_experts_only', 400_000, 8],
    ['int8_weight_only', 200_000, 19],
  ])('%s in shards of %i bytes: every file is the same again', async (recipe, shardBytes, apart) => {
    const original = await exported(recipe, 'compressed-tensors', shardBytes)
    expect(await shapesApart(original)).toBe(apart)
    const there = await convert(original, 'modelopt')
    expect(there.isReversible).toBe(true)
    const back = await convert(there.displayPath, 'compressed-tensors')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original))
  })

  test('a record that names shards which do not exist is of no consequence', async () => {
    const original = await exported('int4_blockwise_experts_only', 'compressed-tensors', 1e9)
    const there = await convert(original, 'modelopt')
    const name = 'model.language_model.layers.0.mlp.experts.0.up_proj.weight_shape'
    const record = { schema: 1, shards: { [name]: '../../elsewhere.safetensors', constructor: 'x' } }
    await writeFile(join(there.displayPath, 'quantmill', 'weight-shapes.json'), JSON.stringify(record))
    const back = await convert(there.displayPath, 'compressed-tensors')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(original))
  })
})

/** Number of `weight_shape` that lie in another shard than their weight. */
async function shapesApart(folder: string): Promise<number> {
  const index = JSON.parse(await readFile(join(folder, 'model.safetensors.index.json'), 'utf8')) as {
    weight_map: Record<string, string>
  }
  return Object.entries(index.weight_map).filter(
    ([name, shard]) =>
      name.endsWith('.weight_shape') && index.weight_map[name.replace(/shape$/, 'packed')] !== shard,
  ).length
}

test('any number of workers and any shard size gives the same tensors', async () => {
  const original = await exported('int4_blockwise_experts_only', 'compressed-tensors')
  const one = await convert(original, 'modelopt', { workers: 1 })
  const five = await convert(original, 'modelopt', { workers: 5 })
  expect(await hashExport(five.displayPath)).toEqual(await hashExport(one.displayPath))
  const whole = await convert(original, 'modelopt', { maxShardSizeBytes: 1e9 })
  expect(await readdir(whole.displayPath)).toContain('model.safetensors')
  const expected = await readExport(one.displayPath)
  for (const [name, { bytes }] of await readExport(whole.displayPath))
    expect(expected.get(name)?.bytes.equals(bytes), name).toBe(true)
})

describe("llm-compressor's habits", () => {
  test('BF16 scales, named groups with patterns, no weight_shape', async () => {
    const original = await exported('int4_blockwise_experts_only', 'compressed-tensors', 1e9)
    const tensors = new Map<string, RawTensor>()
    for (const [name, tensor] of await readExport(original)) {
      if (name.endsWith('.weight_shape')) continue
      if (!name.endsWith('.weight_scale')) {
        tensors.set(name, tensor)
        continue
      }
      const bytes = Buffer.alloc(tensor.bytes.length / 2)
      for (let at = 0; at < bytes.length; at += 2)
        bytes.writeUInt16LE(tensor.bytes.readUInt16LE(2 * at + 2), at)
      tensors.set(name, { ...tensor, dtype: 'BF16', bytes })
    }
    await writeShard(original, tensors)
    const path = join(original, 'config.json')
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, Record<string, unknown>>
    const quantization = config['quantization_config'] ?? {}
    const [group] = Object.values(quantization['config_groups'] as Record<string, Record<string, unknown>>)
    const targets = [String.raw`re:.*mlp\.experts\.\d+\.(gate|up|down)_proj$`]
    delete group?.['format']
    quantization['config_groups'] = { config_group_0: { ...group, targets } }
    await writeFile(path, JSON.stringify(config))
    const report = await convert(original, 'modelopt', { profile: 'hardened' })
    expect(report.isReversible).toBe(false)
    const scale = (await readExport(report.displayPath)).get(
      'model.language_model.layers.0.mlp.experts.0.gate_proj.weight_scale',
    )
    expect([scale?.dtype, scale?.shape, scale?.bytes.readUInt16LE(0)]).toEqual(['F32', [128, 2], 0])
    expect(await readQuantizationConfig(report.displayPath)).toMatchObject({
      quant_algo: 'W4A16_AWQ',
      quant_method: 'modelopt',
    })
  })

  test('an older ModelOpt export declares itself in hf_quant_config.json only', async () => {
    const original = await exported('nvfp4_experts_only_input_scale1', 'modelopt')
    const path = join(original, 'config.json')
    const config = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
    delete config['quantization_config']
    await writeFile(path, JSON.stringify(config))
    const report = await convert(original, 'compressed-tensors')
    expect(report).toMatchObject({ from: 'modelopt', to: 'compressed-tensors', isReversible: true })
  })
})

describe('what is refused leaves nothing behind', () => {
  test.each([
    ['the same dialect', 'mxfp4', 'modelopt', 'modelopt', 'DIALECT_UNSUPPORTED'],
    [
      'NVFP4 in blocks of 32',
      'nvfp4_mlp_weight_only',
      'modelopt',
      'compressed-tensors',
      'DIALECT_UNSUPPORTED',
    ],
    ['INT8 inputs per token', 'int8', 'compressed-tensors', 'modelopt', 'DIALECT_UNSUPPORTED'],
    [
      'INT4 with FP8 inputs per token',
      'w4a8_int4_fp8',
      'compressed-tensors',
      'modelopt',
      'DIALECT_UNSUPPORTED',
    ],
    ['MXFP4 with FP8 inputs', 'w4a8_mxfp4_fp8', 'modelopt', 'compressed-tensors', 'DIALECT_UNSUPPORTED'],
  ] as const)('%s', async (_, recipe, from, to, code) => {
    const original = await exported(recipe, from)
    const folder = await temporaryFolder()
    const error = await errorOf(() => convert(original, to, { outputPath: join(folder, 'out') }))
    expect(error.code).toBe(code)
    expect(await readdir(folder)).toEqual([])
  })

  test('a scale without a reciprocal, a missing scale, a zero point', async () => {
    const original = await exported('w4a16_nvfp4', 'modelopt', 1e9)
    const tensors = await readExport(original)
    const name = 'model.language_model.layers.0.mlp.experts.0.up_proj.weight_scale_2'
    const cases: readonly (readonly [string, (changed: Map<string, RawTensor>) => void])[] = [
      [
        'SCALE_NOT_FINITE',
        (changed) => changed.set(name, { dtype: 'F32', shape: [], bytes: Buffer.alloc(4) }),
      ],
      ['TENSOR_MISSING', (changed) => changed.delete(name)],
      [
        'DIALECT_UNSUPPORTED',
        (changed) =>
          changed.set(name.replace('weight_scale_2', 'weight_zero_point'), {
            dtype: 'I8',
            shape: [1],
            bytes: Buffer.alloc(1),
          }),
      ],
    ]
    for (const [code, change] of cases) {
      const damaged = join(await temporaryFolder(), 'export')
      await cp(original, damaged, { recursive: true })
      const changed = new Map(tensors)
      change(changed)
      await writeShard(damaged, changed)
      const folder = await temporaryFolder()
      const error = await errorOf(() =>
        convert(damaged, 'compressed-tensors', { outputPath: join(folder, 'out') }),
      )
      expect([error.code, error.subject.includes('experts.0.up_proj')]).toEqual([code, true])
      expect(await readdir(folder)).toEqual([])
    }
  })
})
