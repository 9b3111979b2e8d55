/** Tensors of an export's shards, read and written without the code under test. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface RawTensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Buffer
}

/** Every tensor of every shard by name. */
export async function readExport(folder: string): Promise<Map<string, RawTensor>> {
  const tensors = new Map<string, RawTensor>()
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).sort()) {
    const bytes = await readFile(join(folder, file))
    const start = 8 + Number(bytes.readBigUInt64LE(0))
    const header = JSON.parse(bytes.subarray(8, start).toString('utf8')) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
      if (name === '__metadata__') continue
      tensors.set(name, { dtype, shape, bytes: bytes.subarray(start + offsets[0], start + offsets[1]) })
    }
  }
  return tensors
}

/** Replaces the single shard of an export. */
export async function writeShard(folder: string, tensors: ReadonlyMap<string, RawTensor>): Promise<void> {
  let offset = 0
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
  }
  const text = Buffer.from(JSON.stringify(header))
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(text.length))
  const parts = [head, text, ...[...tensors.values()].map(({ bytes }) => bytes)]
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat(parts))
}

export async function readQuantizationConfig(folder: string): Promise<Record<string, unknown>> {
  const config = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as Record<string, unknown>
  return config['quantization_config'] as Record<string, unknown>
}
