/**
 * Writes a synthetic checkpoint of a released shape: real headers, real layouts, random weights. Streams in bounded memory; the folder
 * appears under its final name only when it is complete.
 */
import {
  copyFile,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
  statfs,
  writeFile,
  type FileHandle,
} from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { tensorSizeBytes } from '../../../../shared/domain/dtype.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import { stringifyLikePython } from '../../formats/hf-config/lossless-json.ts'
import { buildShardHeader } from '../../formats/safetensors/build-header.ts'
import { sampleConfig } from '../../sample/sample-config.ts'
import type { SampleLayout } from '../../sample/sample-options.ts'
import { SHAPE_NUMBERS, type SampleNumbers, type SampleShape } from '../../sample/sample-shapes.ts'
import { sampleTensors, type SampleTensor } from '../../sample/sample-tensors.ts'
import { SampleValues } from '../../sample/sample-values.ts'
import { fromFsError } from './fs-error.ts'

export { SAMPLE_SHAPES, type SampleShape } from '../../sample/sample-shapes.ts'

export interface SampleOptions extends Partial<Omit<SampleLayout, 'numbers'>> {
  readonly shape: SampleShape
  /** Must not exist, or be an empty folder. */
  readonly folder: string
  /** @default as released */
  readonly layerCount?: number | undefined
  /** @default 1 */
  readonly seed?: number | undefined
  /** Where tokenizer and processor files of `tiny` come from; other shapes get none. */
  readonly tokenizerFolder?: string | undefined
  /** Tensors of a shard, in bytes. @default 5 GB, 12 MB for `tiny` */
  readonly maxShardBytes?: number | undefined
  /** Sizes that differ from the shape's, for tests. */
  readonly numbers?: Partial<SampleNumbers> | undefined
}

const SIDE_FILES = [
  'chat_template.jinja',
  'generation_config.json',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'video_preprocessor_config.json',
]
const BUFFER_BYTES = 4 * 1024 * 1024
/** CWE-770: as many layers as the reader accepts. */
const MAX_LAYERS = 1024

/**
 * Defaults: experts fused, nested prefix, head present; MTP (fused) and vision only for `tiny`, so that the big shapes cost what their text
 * tower costs (two layers of the 35B shape: 5.4 GB). Throws OUTPUT_NOT_EMPTY, USAGE, DISK_FULL, WRITE_FAILED, PERMISSION_DENIED.
 */
export async function writeSampleCheckpoint(options: SampleOptions): Promise<void> {
  const layout = resolveLayout(options)
  const folder = resolve(options.folder)
  const tensors = sampleTensors(layout)
  const maxShardBytes = options.maxShardBytes ?? (options.shape === 'tiny' ? 12_000_000 : 5_000_000_000)
  await requireEmpty(folder)
  const partial = join(dirname(folder), `${basename(folder)}.partial`)
  try {
    await mkdir(dirname(folder), { recursive: true })
    await requireEmpty(partial)
    await mkdir(partial, { recursive: true })
    await requireSpace(partial, totalBytes(tensors))
    await writeShards(partial, splitShards(tensors, maxShardBytes), new SampleValues(options.seed ?? 1))
    await writeFile(join(partial, 'config.json'), `${stringifyLikePython(sampleConfig(layout), 4)}\n`)
    if (options.shape === 'tiny') await copySideFiles(options.tokenizerFolder, partial, layout.hasVision)
    await rmdir(folder).catch(() => undefined)
    await rename(partial, folder)
  } catch (error: unknown) {
    if (!(error instanceof AppError && error.code === 'OUTPUT_NOT_EMPTY')) {
      await rm(partial, { recursive: true, force: true })
    }
    throw fromFsError(error, folder, 'write')
  }
}

function checkedLayerCount({ shape, layerCount, numbers }: SampleOptions): number {
  const count = layerCount ?? numbers?.layerCount ?? SHAPE_NUMBERS[shape].layerCount
  if (Number.isInteger(count) && count >= 1 && count <= MAX_LAYERS) return count
  throw new AppError('USAGE', {
    subject: '--layers',
    problem: `${String(count)} is not a whole number from 1 to ${String(MAX_LAYERS)}`,
    remedy: 'give a smaller number of layers',
  })
}

function resolveLayout(options: SampleOptions): SampleLayout {
  const layerCount = checkedLayerCount(options)
  const isTiny = options.shape === 'tiny'
  const { expertLayout = 'fused', prefix = 'nested', stateDtype = 'F32', hasHead = true } = options
  const { mtpLayout = isTiny ? 'fused' : 'none', hasVision = isTiny } = options
  return {
    numbers: { ...SHAPE_NUMBERS[options.shape], ...options.numbers, layerCount },
    expertLayout,
    prefix,
    mtpLayout,
    hasHead,
    hasVision: prefix === 'nested' && hasVision,
    stateDtype,
  }
}

function totalBytes(tensors: readonly SampleTensor[]): number {
  return tensors.reduce((sum, { dtype, shape }) => sum + tensorSizeBytes(dtype, shape), 0)
}

function splitShards(tensors: readonly SampleTensor[], maxShardBytes: number): readonly SampleTensor[][] {
  const shards: SampleTensor[][] = []
  let current: SampleTensor[] = []
  let currentBytes = 0
  for (const tensor of tensors) {
    const sizeBytes = totalBytes([tensor])
    if (current.length > 0 && currentBytes + sizeBytes > maxShardBytes) {
      shards.push(current)
      current = []
      currentBytes = 0
    }
    current.push(tensor)
    currentBytes += sizeBytes
  }
  return [...shards, current]
}

/** One shard is `model.safetensors` without an index; several are named as in the released 3.5 models, with an index sorted by name. */
async function writeShards(
  folder: string,
  shards: readonly SampleTensor[][],
  values: SampleValues,
): Promise<void> {
  const padded = (value: number): string => String(value).padStart(5, '0')
  const fileNames = shards.map((_, index) =>
    shards.length === 1
      ? 'model.safetensors'
      : `model.safetensors-${padded(index + 1)}-of-${padded(shards.length)}.safetensors`,
  )
  for (const [index, shard] of shards.entries()) {
    await writeShard(join(folder, fileNames[index] ?? ''), shard, values)
  }
  if (shards.length === 1) return
  const places = shards.flatMap((shard, index) =>
    shard.map(({ name }) => [name, fileNames[index] ?? ''] as const),
  )
  places.sort(([a], [b]) => (a < b ? -1 : 1))
  const index = {
    metadata: { total_size: totalBytes(shards.flat()) },
    weight_map: Object.fromEntries(places),
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`)
}

async function writeShard(path: string, shard: readonly SampleTensor[], values: SampleValues): Promise<void> {
  const { header, offsets } = buildShardHeader(shard)
  const inFileOrder = [...shard].sort(
    (a, b) =>
      (offsets.get(a.name)?.beginBytes ?? 0) - (offsets.get(b.name)?.beginBytes ?? 0) ||
      (offsets.get(a.name)?.endBytes ?? 0) - (offsets.get(b.name)?.endBytes ?? 0),
  )
  const handle = await open(path, 'wx')
  try {
    const sink = new DoubleBuffer(handle)
    await sink.write(header)
    for (const tensor of inFileOrder) await writeTensor(sink, tensor, values)
    await sink.flush()
  } finally {
    await handle.close()
  }
}

async function writeTensor(sink: DoubleBuffer, tensor: SampleTensor, values: SampleValues): Promise<void> {
  const dtype = tensor.dtype === 'F32' ? 'F32' : 'BF16'
  for (const part of tensor.parts) {
    for (const piece of values.pieces(part, dtype)) {
      // Most pieces only fill the buffer; waiting for those would cost more than copying them.
      const pending = sink.write(piece)
      if (pending !== undefined) await pending
    }
  }
}

/** Fills one buffer while the other is being written. */
class DoubleBuffer {
  private readonly handle: FileHandle
  private front = new Uint8Array(BUFFER_BYTES)
  private back = new Uint8Array(BUFFER_BYTES)
  private filledBytes = 0
  private pending: Promise<void> = Promise.resolve()

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** Copies `bytes`; the returned promise, if any, must be awaited before the next call. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    const count = Math.min(bytes.length, BUFFER_BYTES - this.filledBytes)
    this.front.set(count === bytes.length ? bytes : bytes.subarray(0, count), this.filledBytes)
    this.filledBytes += count
    if (this.filledBytes < BUFFER_BYTES) return undefined
    // The piece's memory is reused by its producer, so the rest is copied before anything is awaited.
    const rest = bytes.slice(count)
    return this.swap().then(async () => {
      if (rest.length > 0) await this.write(rest)
    })
  }

  async flush(): Promise<void> {
    await this.swap()
    await this.pending
  }

  private async swap(): Promise<void> {
    await this.pending
    const full = this.front
    const sizeBytes = this.filledBytes
    this.front = this.back
    this.back = full
    this.filledBytes = 0
    this.pending = writeFully(this.handle, full, sizeBytes)
    // A failure is thrown by the next await; without this it would count as unhandled until then.
    this.pending.catch(() => undefined)
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, sizeBytes: number): Promise<void> {
  for (let done = 0; done < sizeBytes;) {
    done += (await handle.write(bytes, done, sizeBytes - done)).bytesWritten
  }
}

async function requireEmpty(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT') return []
    throw fromFsError(error, folder, 'write')
  })
  if (names.length === 0) return
  throw new AppError('OUTPUT_NOT_EMPTY', {
    subject: folder,
    problem: `the folder has ${String(names.length)} entries`,
    remedy: 'choose a folder that does not exist yet',
  })
}

async function requireSpace(folder: string, neededBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= neededBytes) return
  throw new AppError('DISK_FULL', {
    subject: folder,
    problem: `${String(neededBytes)} bytes are needed and ${String(bavail * bsize)} are free`,
    remedy: 'choose another disk or fewer --layers',
  })
}

async function copySideFiles(from: string | undefined, to: string, hasVision: boolean): Promise<void> {
  if (from === undefined) return
  for (const name of SIDE_FILES) {
    const isWanted = hasVision || !name.includes('preprocessor')
    const exists = await stat(join(from, name)).then(
      (stats) => stats.isFile(),
      () => false,
    )
    if (isWanted && exists) await copyFile(join(from, name), join(to, name))
  }
}
