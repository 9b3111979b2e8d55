/** Reads an export with a parser of its own: a fault that the product's reader and writer share would show here. */
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { expect } from 'vitest'
import { ROOT } from './environment.ts'

const SAMPLE = join(ROOT, 'assets/sample/tiny-qwen3.5-moe')

/** From the sample's config.json. */
const SAMPLE_SHAPE = { layers: 4, experts: 32, hidden: 256, inner: 128 }

interface StoredTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

/** Tensors of one shard. Offsets must be contiguous and end where the file ends. */
async function readShard(path: string): Promise<ReadonlyMap<string, StoredTensor>> {
  const file = await open(path)
  try {
    const prefix = Buffer.alloc(8)
    await file.read(prefix, 0, 8, 0)
    const headerBytes = Number(prefix.readBigUInt64LE())
    const header = Buffer.alloc(headerBytes)
    await file.read(header, 0, headerBytes, 8)
    const entries = Object.entries(JSON.parse(header.toString()) as Record<string, StoredTensor>)
    const tensors = entries.filter(([name]) => name !== '__metadata__')
    const inOrder = tensors.map(([, { data_offsets }]) => data_offsets).sort(([a], [b]) => a - b)
    let end = 0
    for (const [from, to] of inOrder) {
      expect(from).toBe(end)
      end = to
    }
    expect((await stat(path)).size).toBe(8 + headerBytes + end)
    return new Map(tensors)
  } finally {
    await file.close()
  }
}

/** Asserts that `folder` is a complete NVFP4-experts export of the sample, published and with nothing of it left unfinished. */
export async function checkSampleExport(folder: string): Promise<void> {
  const names = await readdir(folder)
  expect(names.filter((name) => name.includes('safetensors'))).toEqual(['model.safetensors'])
  checkExperts(await readShard(join(folder, 'model.safetensors')))
  await checkSideFiles(folder, names)
}

/** The same for an export of several shards: the index names every tensor's file, and the files are those of the index. */
export async function checkShardedSampleExport(folder: string): Promise<void> {
  const names = await readdir(folder)
  const index = await readJson(join(folder, 'model.safetensors.index.json'))
  const weightMap = index['weight_map'] as Record<string, string>
  const shards = [...new Set(Object.values(weightMap))].sort()
  expect(shards.length).toBeGreaterThan(1)
  expect(names.filter((name) => name.endsWith('.safetensors')).sort()).toEqual(shards)
  const tensors = new Map<string, StoredTensor>()
  for (const shard of shards) {
    for (const [name, tensor] of await readShard(join(folder, shard))) {
      expect(weightMap[name]).toBe(shard)
      tensors.set(name, tensor)
    }
  }
  expect([...tensors.keys()].sort()).toEqual(Object.keys(weightMap).sort())
  checkExperts(tensors)
  await checkSideFiles(folder, names)
}

function checkExperts(tensors: ReadonlyMap<string, StoredTensor>): void {
  const { layers, experts, hidden, inner } = SAMPLE_SHAPE
  for (let layer = 0; layer < layers; layer += 1) {
    for (let expert = 0; expert < experts; expert += 1) {
      const prefix = `model.language_model.layers.${layer}.mlp.experts.${expert}`
      for (const name of ['gate_proj', 'up_proj', 'down_proj']) {
        const [rows, columns] = name === 'down_proj' ? [hidden, inner] : [inner, hidden]
        expect(tensors.get(`${prefix}.${name}.weight`)).toMatchObject({
          dtype: 'U8',
          shape: [rows, columns / 2],
        })
        expect(tensors.get(`${prefix}.${name}.weight_scale`)).toMatchObject({
          dtype: 'F8_E4M3',
          shape: [rows, columns / 16],
        })
        expect(tensors.get(`${prefix}.${name}.weight_scale_2`)).toMatchObject({ dtype: 'F32', shape: [] })
        expect(tensors.get(`${prefix}.${name}.input_scale`)).toMatchObject({ dtype: 'F32', shape: [] })
      }
    }
  }
}

async function checkSideFiles(folder: string, names: readonly string[]): Promise<void> {
  const config = await readJson(join(folder, 'config.json'))
  expect(config['quantization_config']).toMatchObject({ quant_method: 'modelopt', quant_algo: 'NVFP4' })
  const hfQuant = await readJson(join(folder, 'hf_quant_config.json'))
  expect(hfQuant['quantization']).toMatchObject({ quant_algo: 'NVFP4', kv_cache_quant_algo: 'FP8' })
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    expect(await readFile(join(folder, name))).toEqual(await readFile(join(SAMPLE, name)))
  }
  expect(names).toContain('quantmill')
  const receipt = await readFile(join(folder, 'quantmill', 'receipt.json'), 'utf8')
  expect(() => JSON.parse(receipt) as unknown).not.toThrow()
  expect(await readdir(dirname(folder))).not.toContain(`${basename(folder)}.partial`)
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
}
