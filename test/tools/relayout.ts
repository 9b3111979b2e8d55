/**
 * Rewrites the sample in the other layouts that occur in the wild: experts one by one instead of fused, `model.` instead of
 * `model.language_model.` (text only, flat configuration), one file without index. The values are the same.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SAMPLE } from './sample-path.ts'
import { temporaryFolder } from './temporary-folder.ts'

interface RawTensor {
  readonly name: string
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export interface Layout {
  readonly experts: 'fused' | 'per_expert'
  readonly prefix: 'model.language_model' | 'model'
  /** Number of shards; 1 writes model.safetensors without an index. */
  readonly shards: number
}

export async function relayoutSample(layout: Layout): Promise<string> {
  const folder = join(await temporaryFolder(), 'checkpoint')
  await mkdir(folder)
  let tensors = await readSample()
  if (layout.experts === 'per_expert') tensors = tensors.flatMap(splitExperts)
  if (layout.prefix === 'model') tensors = tensors.flatMap(flatten)
  tensors.sort((a, b) => (a.name < b.name ? -1 : 1))
  await writeShards(folder, tensors, layout.shards)
  const config = JSON.parse(await readFile(join(SAMPLE, 'config.json'), 'utf8')) as Record<string, unknown>
  const flat = {
    ...(config['text_config'] as Record<string, unknown>),
    architectures: ['Qwen3_5MoeForCausalLM'],
    model_type: 'qwen3_5_moe_text',
  }
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify(layout.prefix === 'model' ? flat : config, null, 2),
  )
  for (const name of [
    'tokenizer.json',
    'tokenizer_config.json',
    'generation_config.json',
    'chat_template.jinja',
  ]) {
    await copyFile(join(SAMPLE, name), join(folder, name))
  }
  return folder
}

async function readSample(): Promise<RawTensor[]> {
  const index = JSON.parse(await readFile(join(SAMPLE, 'model.safetensors.index.json'), 'utf8')) as {
    weight_map: Record<string, string>
  }
  const tensors: RawTensor[] = []
  for (const file of new Set(Object.values(index.weight_map))) {
    const bytes = await readFile(join(SAMPLE, file))
    const start = 8 + Number(bytes.readBigUInt64LE(0))
    const header = JSON.parse(bytes.subarray(8, start).toString('utf8')) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >
    for (const [name, entry] of Object.entries(header)) {
      if (name === '__metadata__') continue
      const [begin, end] = entry.data_offsets
      tensors.push({
        name,
        dtype: entry.dtype,
        shape: entry.shape,
        bytes: bytes.subarray(start + begin, start + end),
      })
    }
  }
  return tensors
}

function splitExperts(tensor: RawTensor): RawTensor[] {
  const match = /^(.*\.experts)\.(gate_up_proj|down_proj)$/.exec(tensor.name)
  if (match === null) return [tensor]
  const [expertCount = 0, rows = 0, cols = 0] = tensor.shape
  const expertBytes = tensor.bytes.length / expertCount
  return Array.from({ length: expertCount }, (_, expert) => {
    const bytes = tensor.bytes.subarray(expert * expertBytes, (expert + 1) * expertBytes)
    const part = (projection: string, from: number, to: number): RawTensor => ({
      name: `${match[1] ?? ''}.${String(expert)}.${projection}.weight`,
      dtype: tensor.dtype,
      shape: [to - from, cols],
      bytes: bytes.subarray((from * expertBytes) / rows, (to * expertBytes) / rows),
    })
    return match[2] === 'down_proj'
      ? [part('down_proj', 0, rows)]
      : [part('gate_proj', 0, rows / 2), part('up_proj', rows / 2, rows)]
  }).flat()
}

function flatten(tensor: RawTensor): RawTensor[] {
  if (tensor.name.startsWith('model.visual.')) return []
  return [{ ...tensor, name: tensor.name.replace(/^model\.language_model\./, 'model.') }]
}

async function writeShards(folder: string, tensors: readonly RawTensor[], shardCount: number): Promise<void> {
  const weightMap: Record<string, string> = {}
  const perShard = Math.ceil(tensors.length / shardCount)
  for (let shard = 0; shard < shardCount; shard += 1) {
    const number = (value: number): string => String(value).padStart(5, '0')
    const name =
      shardCount === 1
        ? 'model.safetensors'
        : `model-${number(shard + 1)}-of-${number(shardCount)}.safetensors`
    const part = tensors.slice(shard * perShard, (shard + 1) * perShard)
    for (const tensor of part) weightMap[tensor.name] = name
    await writeFile(join(folder, name), serialise(part))
  }
  if (shardCount > 1) {
    const index = {
      metadata: { total_size: tensors.reduce((sum, { bytes }) => sum + bytes.length, 0) },
      weight_map: weightMap,
    }
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index, null, 2))
  }
}

function serialise(tensors: readonly RawTensor[]): Buffer {
  let offset = 0
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  for (const { name, dtype, shape, bytes } of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([head, text, ...tensors.map(({ bytes }) => bytes)])
}
