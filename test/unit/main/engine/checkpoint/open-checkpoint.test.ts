/** Index and shards that disagree make a loader drop or invent tensors; each disagreement must be named before anything is planned. */
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../../../../main/engine/checkpoint/open-checkpoint.ts'
import { MemoryFolder } from '../../../../fakes/memory-folder.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { bf16Shard } from '../../../../tools/safetensors-bytes.ts'

const INDEX = 'model.safetensors.index.json'
const A = 'model-00001-of-00002.safetensors'
const B = 'model-00002-of-00002.safetensors'
const index = (map: Readonly<Record<string, string>>): string => JSON.stringify({ weight_map: map })

const GOOD = {
  'config.json': '{"model_type":"x"}',
  [INDEX]: index({ 'b.weight': B, 'a.weight': A, 'c.weight': A }),
  [A]: bf16Shard({ 'c.weight': [3], 'a.weight': [2, 4] }),
  [B]: bf16Shard({ 'b.weight': [5] }),
}

test('reads headers only and gives absolute places in index order', async () => {
  const folder = new MemoryFolder(GOOD)
  const checkpoint = await openCheckpoint(folder)
  expect(checkpoint.shards.map(({ fileName }) => fileName)).toEqual([A, B])
  expect([...checkpoint.tensors.keys()]).toEqual(['b.weight', 'a.weight', 'c.weight'])
  const dataStart = checkpoint.shards[0]?.dataStartBytes ?? 0
  expect(checkpoint.tensors.get('a.weight')).toEqual({
    name: 'a.weight',
    dtype: 'BF16',
    shape: [2, 4],
    shardIndex: 0,
    offsetBytes: dataStart + 6,
    sizeBytes: 16,
  })
  expect(checkpoint.totalTensorBytes).toBe(32)
  expect(folder.bytesRead.get(A)).toBe(8 + dataStart)
})

test('one file without index is in header order; several are taken together', async () => {
  const one = { 'config.json': '{}', 'model.safetensors': bf16Shard({ z: [1], a: [1] }) }
  expect([...(await openCheckpoint(new MemoryFolder(one))).tensors.keys()]).toEqual(['z', 'a'])
  const two = { 'config.json': '{}', [B]: GOOD[B], [A]: GOOD[A] }
  expect([...(await openCheckpoint(new MemoryFolder(two))).tensors.keys()]).toEqual([
    'c.weight',
    'a.weight',
    'b.weight',
  ])
})

test('carries over what is neither weights nor an old quantization', async () => {
  const carried = [
    'tokenizer.json',
    'generation_config.json',
    'LICENSE',
    'chat_template.jinja',
    '.gitattributes',
    'modeling.py',
  ]
  const left = [
    'hf_quant_config.json', 'quant_config.json', 'quantization_config.json', 'quantize_config.json', 'recipe.yaml', 'recipe.yml',
    'pytorch_model.bin', 'consolidated.pt', 'model.gguf', 'pytorch_model.bin.index.json',
  ] // prettier-ignore
  const files = Object.fromEntries([...carried, ...left].map((name) => [name, 'x']))
  const { sideFiles } = await openCheckpoint(new MemoryFolder({ ...GOOD, ...files }))
  expect(sideFiles.map(({ name }) => name).sort()).toEqual([...carried].sort())
})

describe('refused', () => {
  const without = (name: string): Record<string, Uint8Array<ArrayBuffer> | string> =>
    Object.fromEntries(Object.entries(GOOD).filter(([key]) => key !== name))

  test.each([
    ['no config.json', without('config.json'), 'CONFIG_MISSING', 'config.json'],
    ['a config.json that is not JSON', { ...GOOD, 'config.json': '{' }, 'CONFIG_INVALID', 'config.json'],
    ['a missing shard', without(B), 'SHARD_MISSING', B],
    [
      'a missing shard of a numbered series without index',
      { 'config.json': '{}', [B]: GOOD[B] },
      'SHARD_MISSING',
      A,
    ],
    [
      'no weights at all',
      { 'config.json': '{}', 'pytorch_model.bin': 'x' },
      'SHARD_MISSING',
      '/memory/checkpoint',
    ],
    ['a truncated shard', { ...GOOD, [A]: GOOD[A].slice(0, -1) }, 'SAFETENSORS_TRUNCATED', A],
    ['a shard of 5 bytes', { ...GOOD, [A]: GOOD[A].slice(0, 5) }, 'SAFETENSORS_TRUNCATED', A],
    ['a damaged index', { ...GOOD, [INDEX]: '{"weight_map":' }, 'INDEX_INVALID', INDEX],
    ['an index of other text', { ...GOOD, [INDEX]: Uint8Array.of(0xff) }, 'INDEX_INVALID', INDEX],
    [
      'an index that leads elsewhere',
      { ...GOOD, [INDEX]: index({ a: '../x.safetensors' }) },
      'PATH_ESCAPES_CHECKPOINT',
      INDEX,
    ],
    ['a tensor only in the index', { ...GOOD, [B]: bf16Shard({ other: [5] }) }, 'TENSOR_MISSING', 'b.weight'],
    [
      'a tensor in another shard than the index says',
      { ...GOOD, [INDEX]: index({ 'b.weight': A, 'a.weight': A, 'c.weight': B }) },
      'TENSOR_MISSING',
      'b.weight',
    ],
    [
      'a tensor only in a shard',
      { ...GOOD, [INDEX]: index({ 'b.weight': B, 'a.weight': A }) },
      'INDEX_INVALID',
      'c.weight',
    ],
    [
      'a tensor in two shards',
      { ...GOOD, [B]: bf16Shard({ 'b.weight': [5], 'a.weight': [2, 4] }) },
      'SAFETENSORS_HEADER_INVALID',
      'a.weight',
    ],
  ] as const)('%s', async (_, files, code, subject) => {
    const error = await errorOf(() => openCheckpoint(new MemoryFolder(files)))
    expect(error.code).toBe(code)
    expect(error.subject).toContain(subject)
  })
})
