/** An export in memory whose tensors and files can be changed one by one; untouched files are shared between copies. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MemoryFolder } from '../fakes/memory-folder.ts'
import { temporaryFolder } from './temporary-folder.ts'

export interface StoredTensor {
  name: string
  dtype: string
  shape: readonly number[]
  bytes: Uint8Array<ArrayBuffer>
}

type Json = Record<string, unknown>

const INDEX = 'model.safetensors.index.json'

/** Every file at the top level of a folder. */
export async function readFiles(folder: string): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name)
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, new Uint8Array(await readFile(join(folder, name)))] as const),
    ),
  )
}

export class ExportCopy {
  readonly files: Map<string, Uint8Array<ArrayBuffer>>

  constructor(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) {
    this.files = new Map(files)
  }

  folder(): MemoryFolder {
    return new MemoryFolder(Object.fromEntries(this.files))
  }

  /** Writes the files to a new folder and returns its path. */
  async write(): Promise<string> {
    const path = join(await temporaryFolder(), 'export')
    await mkdir(path)
    await Promise.all([...this.files].map(([name, bytes]) => writeFile(join(path, name), bytes)))
    return path
  }

  /** Every tensor by name, of the weight files that the index knows. */
  tensors(): ReadonlyMap<string, StoredTensor> {
    const shards = new Set(Object.values(this.weightMap()).filter((shard) => this.files.has(shard)))
    return new Map(
      [...shards].flatMap((shard) => this.readShard(shard).map((tensor) => [tensor.name, tensor] as const)),
    )
  }

  /** Changes a JSON file; returning undefined removes it. */
  json(name: string, change: (json: Json) => Json | undefined): void {
    const json = JSON.parse(new TextDecoder().decode(this.file(name))) as Json
    const changed = change(json)
    if (changed === undefined) this.files.delete(name)
    else this.files.set(name, new TextEncoder().encode(JSON.stringify(changed)))
  }

  /** The nested `quantization_config` of config.json and `quantization` of hf_quant_config.json, changed alike or one of them. */
  configs(flat: (config: Json) => void, nested: (quantization: Json) => void): void {
    this.json('config.json', (json) => {
      flat(json['quantization_config'] as Json)
      return json
    })
    this.json('hf_quant_config.json', (json) => {
      nested(json['quantization'] as Json)
      return json
    })
  }

  /** Removes an entry from both exclude lists. */
  ignore(change: (entries: string[]) => string[]): void {
    this.configs(
      (config) => {
        config['ignore'] = change(config['ignore'] as string[])
      },
      (quantization) => {
        quantization['exclude_modules'] = change(quantization['exclude_modules'] as string[])
      },
    )
  }

  index(change: (weightMap: Record<string, string>, metadata: Json) => void): void {
    this.json(INDEX, (json) => {
      change(json['weight_map'] as Record<string, string>, json['metadata'] as Json)
      return json
    })
  }

  shardOf(tensor: string): string {
    const shard = this.weightMap()[tensor]
    if (shard === undefined) throw new Error(`${tensor} is not in the index`)
    return shard
  }

  names(pattern: RegExp): readonly string[] {
    return Object.keys(this.weightMap()).filter((name) => pattern.test(name))
  }

  tensor(name: string): StoredTensor {
    const found = this.views(this.shardOf(name)).find((tensor) => tensor.name === name)
    if (found === undefined) throw new Error(`${name} is not in its shard`)
    return { ...found, bytes: found.bytes.slice() }
  }

  /** Rewrites the shards of these tensors, and the index with them; an empty list of results removes a tensor. */
  replace(names: readonly string[], change: (tensor: StoredTensor) => readonly StoredTensor[]): void {
    const wanted = new Set(names)
    const shards = new Set(names.map((name) => this.shardOf(name)))
    for (const shard of shards) {
      const tensors = this.views(shard).flatMap((tensor) =>
        wanted.has(tensor.name) ? change({ ...tensor, bytes: tensor.bytes.slice() }) : [tensor],
      )
      this.writeShard(shard, tensors)
    }
  }

  /** Overwrites bytes of a tensor without touching anything else. */
  poke(name: string, change: (bytes: Uint8Array<ArrayBuffer>) => void): void {
    this.replace([name], (tensor) => {
      const bytes = tensor.bytes.slice()
      change(bytes)
      return [{ ...tensor, bytes }]
    })
  }

  scalar(name: string, change: (value: number) => number): void {
    this.poke(name, (bytes) => {
      const view = new DataView(bytes.buffer)
      view.setFloat32(0, change(view.getFloat32(0, true)), true)
    })
  }

  readShard(shard: string): readonly StoredTensor[] {
    return this.views(shard).map((tensor) => ({ ...tensor, bytes: tensor.bytes.slice() }))
  }

  /** The tensors of a shard, their bytes still in the file's. */
  private views(shard: string): readonly StoredTensor[] {
    const file = this.file(shard)
    const length = Number(new DataView(file.buffer).getBigUint64(0, true))
    const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >
    return Object.entries(header).flatMap(([name, { dtype, shape, data_offsets }]) =>
      name === '__metadata__'
        ? []
        : [
            {
              name,
              dtype,
              shape,
              bytes: file.subarray(8 + length + data_offsets[0], 8 + length + data_offsets[1]),
            },
          ],
    )
  }

  /** Writes a shard and puts its tensors, and only those, into the index. */
  writeShard(shard: string, tensors: readonly StoredTensor[]): void {
    let offset = 0
    const header: Json = { __metadata__: { format: 'pt' } }
    for (const { name, dtype, shape, bytes } of tensors) {
      header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
      offset += bytes.length
    }
    const text = new TextEncoder().encode(JSON.stringify(header))
    const file = new Uint8Array(8 + text.length + offset)
    new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true)
    file.set(text, 8)
    let position = 8 + text.length
    for (const { bytes } of tensors) {
      file.set(bytes, position)
      position += bytes.length
    }
    const before = this.views(shard).reduce((sum, { bytes }) => sum + bytes.length, 0)
    if (tensors.length === 0) this.files.delete(shard)
    else this.files.set(shard, file)
    this.index((weightMap, metadata) => {
      for (const [name, place] of Object.entries(weightMap))
        if (place === shard) Reflect.deleteProperty(weightMap, name)
      for (const { name } of tensors) weightMap[name] = shard
      metadata['total_size'] = Number(metadata['total_size']) + offset - before
    })
  }

  private weightMap(): Readonly<Record<string, string>> {
    const index = JSON.parse(new TextDecoder().decode(this.file(INDEX))) as {
      weight_map: Record<string, string>
    }
    return index.weight_map
  }

  private file(name: string): Uint8Array<ArrayBuffer> {
    const bytes = this.files.get(name)
    if (bytes === undefined) throw new Error(`there is no ${name}`)
    return bytes
  }
}
