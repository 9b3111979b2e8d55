/**
 * Opens a checkpoint from config.json, the index and every shard's header; weights are never read. A checkpoint whose index and shards
 * disagree is refused: loaders would silently drop or zero-fill what is missing.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { decodeUtf8, parseJsonObject, type JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { ShardHeader } from '../formats/safetensors/entry.ts'
import { parseShardHeader, readHeaderLength } from '../formats/safetensors/parse-header.ts'
import { parseIndex } from '../formats/safetensors/parse-index.ts'
import type { CheckpointFolder, FolderEntry } from '../io/ports.ts'
import type { Checkpoint, TensorSlice } from './checkpoint.ts'

/** CWE-770: a configuration of the largest models has some tens of kilobytes; quantized ones list every module. */
const MAX_CONFIG_BYTES = 64 * 1024 * 1024
/** CWE-770: the index of a per-expert 2.4T model has about 40 MB. */
const MAX_INDEX_BYTES = 512 * 1024 * 1024
const INDEX_NAME = 'model.safetensors.index.json'

/** Files that an export writes itself or that describe another quantization; everything else at the top level is carried over. */
const NOT_CARRIED = new Set([
  'config.json',
  'hf_quant_config.json',
  'quant_config.json',
  'quantization_config.json',
  'quantize_config.json',
  'recipe.yaml',
  'recipe.yml',
])
const WEIGHT_FILE = /(\.(safetensors|bin|pt|pth|gguf|onnx|ckpt|msgpack|h5)|\.index\.json)$/i

export interface OpenOptions {
  /**
   * Receives every disagreement between index and shards instead of the first being thrown (SHARD_MISSING, TENSOR_MISSING with the
   * tensor's name behind `: `, INDEX_INVALID). The opened checkpoint then has every tensor of the shards that exist.
   */
  readonly onIndexProblem?: ((problem: AppError) => void) | undefined
}

/**
 * Reads configuration, index and shard headers. Without an index every .safetensors file of the folder belongs to the checkpoint. A tensor
 * of a shard that the index does not list is an error: an engine that goes by the index would never see it, one that goes by the files would.
 * Throws CONFIG_MISSING, CONFIG_INVALID, SHARD_MISSING, TENSOR_MISSING, INDEX_INVALID, PATH_ESCAPES_CHECKPOINT, FILE_TOO_LARGE and every
 * header error.
 */
export async function openCheckpoint(
  folder: CheckpointFolder,
  { onIndexProblem }: OpenOptions = {},
): Promise<Checkpoint> {
  const report =
    onIndexProblem ??
    ((problem: AppError): never => {
      throw problem
    })
  const entries = await folder.list()
  const files = new Map(entries.filter((entry) => entry.kind === 'file').map((entry) => [entry.name, entry]))
  const config = await readConfig(folder, files)
  const index = files.has(INDEX_NAME)
    ? parseIndex(await readText(folder, INDEX_NAME, MAX_INDEX_BYTES), INDEX_NAME)
    : undefined
  const shardNames =
    index === undefined
      ? [...files.keys()].filter((name) => name.endsWith('.safetensors'))
      : [...new Set(index.values())]
  if (shardNames.length === 0) {
    throw new AppError('SHARD_MISSING', {
      subject: folder.displayPath,
      problem: 'there is no .safetensors file',
      remedy: 'give the folder of a downloaded checkpoint in safetensors format',
    })
  }
  if (index === undefined) requireWholeSeries(folder, shardNames)
  const shards: ShardHeader[] = []
  for (const name of shardNames.sort()) {
    const entry = files.get(name)
    if (entry === undefined) report(shardMissing(folder, name, 'the index names this shard'))
    else shards.push(await readShard(folder, entry))
  }
  const found = collectTensors(shards)
  const tensors = index === undefined ? found : orderByIndex(found, index, shards, report)
  return {
    folder,
    config,
    shards,
    tensors,
    sideFiles: [...files.values()].filter(({ name }) => !NOT_CARRIED.has(name) && !WEIGHT_FILE.test(name)),
    totalTensorBytes: [...tensors.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }
}

async function readConfig(
  folder: CheckpointFolder,
  files: ReadonlyMap<string, FolderEntry>,
): Promise<JsonObject> {
  if (!files.has('config.json')) {
    throw new AppError('CONFIG_MISSING', {
      subject: `${folder.displayPath}/config.json`,
      problem: 'there is no config.json',
      remedy: 'give the folder of a downloaded checkpoint',
    })
  }
  return parseJsonObject(await folder.readAll('config.json', MAX_CONFIG_BYTES), 'config.json')
}

async function readText(folder: CheckpointFolder, name: string, limitBytes: number): Promise<string> {
  return decodeUtf8(await folder.readAll(name, limitBytes), name, 'INDEX_INVALID')
}

async function readShard(folder: CheckpointFolder, { name, sizeBytes }: FolderEntry): Promise<ShardHeader> {
  const head = await folder.readRange(name, 0, Math.min(8, sizeBytes))
  const headerBytes = readHeaderLength(head, name, sizeBytes)
  return parseShardHeader(await folder.readRange(name, 0, 8 + headerBytes), name, sizeBytes)
}

const SERIES = /^(.*-)(\d{5})(-of-)(\d{5})(\.safetensors)$/

/** Numbered shards tell how many there are; without an index this is the only way to notice that one is missing. */
function requireWholeSeries(folder: CheckpointFolder, names: readonly string[]): void {
  const present = new Set(names)
  const checked = new Set<string>()
  for (const name of names) {
    const [, stem = '', , of = '', total = '', end = ''] = SERIES.exec(name) ?? []
    if (checked.has(stem + total)) continue
    checked.add(stem + total)
    for (let number = 1; number <= Number(total); number += 1) {
      const expected = `${stem}${String(number).padStart(5, '0')}${of}${total}${end}`
      if (!present.has(expected))
        throw shardMissing(folder, expected, `${name} belongs to a series of ${String(Number(total))} files`)
    }
  }
}

function shardMissing(folder: CheckpointFolder, name: string, reason: string): AppError {
  return new AppError('SHARD_MISSING', {
    subject: `${folder.displayPath}/${name}`,
    problem: `${reason}, but the file is not there`,
    remedy: 'download the missing file',
  })
}

function collectTensors(shards: readonly ShardHeader[]): Map<string, TensorSlice> {
  const tensors = new Map<string, TensorSlice>()
  for (const [shardIndex, shard] of shards.entries()) {
    for (const { name, dtype, shape, beginBytes, endBytes } of shard.tensors) {
      const present = tensors.get(name)
      if (present !== undefined) {
        throw new AppError('SAFETENSORS_HEADER_INVALID', {
          subject: `${shard.fileName}: ${name}`,
          problem: `the tensor is also in ${shards[present.shardIndex]?.fileName ?? 'another shard'}`,
          remedy: 'remove weight files that do not belong to this checkpoint',
        })
      }
      const offsetBytes = shard.dataStartBytes + beginBytes
      tensors.set(name, { name, dtype, shape, shardIndex, offsetBytes, sizeBytes: endBytes - beginBytes })
    }
  }
  return tensors
}

/** Index order; a tensor that the index does not list is an error, because loaders would not see it. */
function orderByIndex(
  found: ReadonlyMap<string, TensorSlice>,
  index: ReadonlyMap<string, string>,
  shards: readonly ShardHeader[],
  report: (problem: AppError) => void,
): Map<string, TensorSlice> {
  const ordered = new Map<string, TensorSlice>()
  for (const [name, shardName] of index) {
    const slice = found.get(name)
    if (slice === undefined || shards[slice.shardIndex]?.fileName !== shardName) {
      report(
        new AppError('TENSOR_MISSING', {
          subject: `${shardName}: ${name}`,
          problem: 'the index lists this tensor, but the shard does not have it',
          remedy: 'get an undamaged copy of index and shards',
        }),
      )
    }
    if (slice !== undefined) ordered.set(name, slice)
  }
  for (const [name, slice] of found) {
    if (!index.has(name)) {
      report(
        new AppError('INDEX_INVALID', {
          subject: `${shards[slice.shardIndex]?.fileName ?? ''}: ${name}`,
          problem: 'the shard has this tensor, but the index does not list it',
          remedy: 'get an undamaged copy of index and shards',
        }),
      )
      ordered.set(name, slice)
    }
  }
  return ordered
}
