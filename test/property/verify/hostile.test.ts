/** Any bytes in the files of an export: a report, or one typed error that is not our fault. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { verifyText } from '../../../main/engine/verify/verify-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { MemoryFolder } from '../../fakes/memory-folder.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { bf16Shard } from '../../tools/safetensors-bytes.ts'
import { fc, runs } from '../../tools/properties.ts'

const NAMES = [
  'config.json',
  'hf_quant_config.json',
  'model.safetensors.index.json',
  'model-1.safetensors',
  'recipe.yaml',
]
const PREFIX = 'model.language_model'
const HEAD = `${PREFIX}.layers.0.mlp.experts.0`
const files = new Map<string, Uint8Array<ArrayBuffer>>()

beforeAll(async () => {
  const config = JSON.parse(await readFile(join(SAMPLE, 'config.json'), 'utf8')) as Record<string, unknown>
  const text = config['text_config'] as Record<string, unknown>
  Object.assign(text, {
    num_experts: 2,
    num_experts_per_tok: 1,
    num_hidden_layers: 1,
    layer_types: ['full_attention'],
  })
  const quantization = {
    quant_algo: 'NVFP4',
    group_size: 16,
    ignore: ['lm_head', 'mtp*'],
    quant_method: 'modelopt',
  }
  const encode = (value: unknown): Uint8Array<ArrayBuffer> => new TextEncoder().encode(JSON.stringify(value))
  const shard = bf16Shard({
    [`${PREFIX}.norm.weight`]: [256],
    [`${HEAD}.gate_proj.weight`]: [128, 128],
    'mtp.fc.weight': [4, 8],
  })
  files.set('config.json', encode({ ...config, quantization_config: quantization }))
  files.set(
    'hf_quant_config.json',
    encode({ quantization: { ...quantization, exclude_modules: [], kv_cache_quant_algo: null } }),
  )
  files.set('model-1.safetensors', shard)
  files.set('recipe.yaml', new TextEncoder().encode('modifiers: {}'))
  const weightMap = {
    [`${PREFIX}.norm.weight`]: 'model-1.safetensors',
    [`${HEAD}.gate_proj.weight`]: 'model-1.safetensors',
    'mtp.fc.weight': 'model-1.safetensors',
  }
  files.set('model.safetensors.index.json', encode({ metadata: { total_size: 1 }, weight_map: weightMap }))
})

async function outcome(changed: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): Promise<string> {
  try {
    const report = await verifyExport(new MemoryFolder(Object.fromEntries(changed)))
    expect(verifyText(report)).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/)
    return 'report'
  } catch (error: unknown) {
    if (!(error instanceof AppError)) throw error
    return error.kind
  }
}

const ALLOWED = ['report', 'data', 'unsupported', 'environment', 'input']

test('the untouched files give a report', async () => {
  expect(await outcome(files)).toBe('report')
})

test('bytes changed, cut or inserted anywhere', async () => {
  const edit = fc.record({
    file: fc.constantFrom(...NAMES),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    drop: fc.constantFrom(0, 0, 1, 3, 1000),
    insert: fc.oneof(
      fc.uint8Array({ maxLength: 6 }),
      fc
        .constantFrom(
          '"',
          '{',
          '}',
          '[',
          'null',
          '1e999',
          '-1',
          '"re:(a|b)*c"',
          '"*"',
          '"MIXED_PRECISION"',
          '"__proto__":',
        )
        .map((text) => new TextEncoder().encode(text)),
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      const changed = new Map(files)
      for (const { file, at, drop, insert } of edits) {
        const bytes = changed.get(file) ?? new Uint8Array(0)
        const position = Math.floor(at * bytes.length)
        changed.set(
          file,
          new Uint8Array([...bytes.subarray(0, position), ...insert, ...bytes.subarray(position + drop)]),
        )
      }
      expect(ALLOWED).toContain(await outcome(changed))
    }),
    runs(400),
  )
})

test('any JSON as a quantization description', async () => {
  const key = fc.constantFrom(
    'quant_method',
    'quant_algo',
    'ignore',
    'group_size',
    'config_groups',
    'quantized_layers',
    'kv_cache_scheme',
    'format',
  )
  const known = fc.constantFrom(
    'modelopt',
    'compressed-tensors',
    'NVFP4',
    'FP8',
    'MXFP8',
    'W4A16_AWQ',
    'MIXED_PRECISION',
    'pack-quantized',
  )
  const group = fc.record({
    targets: fc.array(fc.constantFrom('Linear', 're:.*', 're:(', 'lm_head')),
    weights: fc.record({
      num_bits: fc.integer({ min: -1, max: 9 }),
      type: fc.constantFrom('int', 'float'),
      strategy: fc.constantFrom('group', 'channel', 'tensor', 'block', 'tensor_group'),
      group_size: fc.oneof(fc.integer(), fc.double()),
    }),
  })
  const value = fc.oneof(
    known,
    fc.array(fc.string()),
    fc.dictionary(fc.string(), group),
    fc.jsonValue({ maxDepth: 4 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.dictionary(key, value), fc.dictionary(key, value), async (flat, nested) => {
      const config = JSON.parse(new TextDecoder().decode(files.get('config.json'))) as Record<string, unknown>
      const encode = (json: unknown): Uint8Array<ArrayBuffer> =>
        new TextEncoder().encode(JSON.stringify(json))
      const changed = new Map(files)
        .set('config.json', encode({ ...config, quantization_config: flat }))
        .set('hf_quant_config.json', encode({ quantization: nested }))
      expect(ALLOWED).toContain(await outcome(changed))
    }),
    runs(400),
  )
})

test('a configuration that claims a billion matrices is refused', async () => {
  const config = JSON.parse(new TextDecoder().decode(files.get('config.json'))) as Record<
    string,
    Record<string, unknown>
  >
  Object.assign(config['text_config'] ?? {}, {
    num_experts: 8192,
    num_hidden_layers: 1024,
    layer_types: null,
    full_attention_interval: 4,
  })
  const changed = new Map(files).set('config.json', new TextEncoder().encode(JSON.stringify(config)))
  expect(await outcome(changed)).toBe('data')
})
