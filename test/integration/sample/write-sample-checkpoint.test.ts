/** Checkpoints that the generator writes must be read back as what was asked for, and the layouts must hold the same weights. */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TensorSlice } from '../../../main/engine/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../../main/engine/checkpoint/open-checkpoint.ts'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import {
  writeSampleCheckpoint,
  type SampleOptions,
} from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import type { MoeModel } from '../../../main/engine/models/moe-model.ts'
import { recogniseModel } from '../../../main/engine/models/recognise-model.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const SMALL = { hiddenSize: 64, expertCount: 4, topK: 2, expertWidth: 32, vocabSize: 128, headDim: 32 }

async function write(options: Partial<SampleOptions>): Promise<string> {
  const folder = join(await temporaryFolder(), 'sample')
  await writeSampleCheckpoint({ shape: 'tiny', folder, numbers: SMALL, ...options })
  return folder
}

/** Bytes of the text tower by name without prefix, experts one by one whatever the layout. */
async function weights(path: string): Promise<{ model: MoeModel; bytes: ReadonlyMap<string, string> }> {
  const folder = new NodeCheckpointFolder(path)
  const checkpoint = await openCheckpoint(folder)
  const model = recogniseModel(checkpoint)
  const bytes = new Map<string, string>()
  const add = async (name: string, { shardIndex, offsetBytes, sizeBytes }: TensorSlice): Promise<void> => {
    const fileName = checkpoint.shards[shardIndex]?.fileName ?? ''
    const data = await folder.readRange(fileName, offsetBytes, sizeBytes)
    bytes.set(name.replace(`${model.prefix}.`, ''), Buffer.from(data).toString('base64'))
  }
  for (const item of model.exportOrder) {
    if (item.kind === 'tensor' && item.role !== 'vision' && item.role !== 'mtp')
      await add(item.name, item.source)
    else if (item.kind === 'linear') await add(item.module, item.source)
    else if (item.kind === 'experts') {
      for (const [expert, { gate, up, down }] of item.experts.entries()) {
        await add(`${item.module}.${String(expert)}.gate`, gate)
        await add(`${item.module}.${String(expert)}.up`, up)
        await add(`${item.module}.${String(expert)}.down`, down)
      }
    }
  }
  return { model, bytes }
}

test('tiny has the configuration and the tensors of the real sample', async () => {
  const folder = join(await temporaryFolder(), 'sample')
  await writeSampleCheckpoint({ shape: 'tiny', folder, tokenizerFolder: SAMPLE })
  const text = (path: string): Promise<string> => readFile(path, 'utf8')
  expect(await text(join(folder, 'config.json'))).toBe(await text(join(SAMPLE, 'config.json')))
  const [written, real] = await Promise.all(
    [folder, SAMPLE].map((path) => openCheckpoint(new NodeCheckpointFolder(path))),
  )
  const shapes = (checkpoint: typeof written): string[] =>
    [...(checkpoint?.tensors.values() ?? [])].map(
      ({ name, dtype, shape }) => `${name} ${dtype} ${shape.join()}`,
    )
  expect(shapes(written)).toEqual(shapes(real))
  expect(written?.sideFiles.map(({ name }) => name)).toContain('tokenizer.json')
  expect((await readdir(folder)).filter((name) => name.endsWith('.safetensors'))).toHaveLength(4)
})

describe('layouts', () => {
  test.each([
    { expertLayout: 'per_expert', mtpLayout: 'per_expert', maxShardBytes: 60_000 },
    { prefix: 'flat', mtpLayout: 'none' },
    { expertLayout: 'per_expert', prefix: 'flat', hasVision: false, mtpLayout: 'fused' },
  ] as const)('%j holds the same weights', async (layout) => {
    const plain = await weights(await write({ seed: 3 }))
    const other = await weights(await write({ seed: 3, ...layout }))
    expect(other.model).toMatchObject({
      expertLayout: 'expertLayout' in layout ? layout.expertLayout : 'fused',
      mtpLayout: layout.mtpLayout,
      prefix: 'prefix' in layout ? 'model' : 'model.language_model',
    })
    // 3 layers of 28 matrices and vectors, 1 of 25, embedding, norm and head.
    expect(plain.bytes.size).toBe(112)
    expect([...other.bytes].sort()).toEqual([...plain.bytes].sort())
  })

  test('without head the embeddings are tied', async () => {
    const { model } = await weights(await write({ hasHead: false, layerCount: 2 }))
    expect(model.text).toMatchObject({ tieWordEmbeddings: true, layerCount: 2 })
  })
})

test('the same seed gives the same files', async () => {
  const [a, b, other] = await Promise.all([write({ seed: 5 }), write({ seed: 5 }), write({ seed: 6 })])
  const shard = (folder: string): Promise<Buffer> => readFile(join(folder, 'model.safetensors'))
  expect((await shard(a)).equals(await shard(b))).toBe(true)
  expect((await shard(a)).equals(await shard(other))).toBe(false)
})

test('nothing is overwritten and nothing is left behind', async () => {
  const parent = await temporaryFolder()
  const folder = join(parent, 'full')
  await mkdir(folder)
  await writeFile(join(folder, 'precious.txt'), 'kept')
  expect((await errorOf(() => writeSampleCheckpoint({ shape: 'tiny', folder }))).code).toBe(
    'OUTPUT_NOT_EMPTY',
  )
  const many = { shape: 'tiny', folder: join(parent, 'many'), layerCount: 5000 } as const
  expect((await errorOf(() => writeSampleCheckpoint(many))).code).toBe('USAGE')
  const vast = {
    shape: 'tiny',
    folder: join(parent, 'vast'),
    numbers: { hiddenSize: 65536, expertWidth: 1 << 20 },
  } as const
  expect((await errorOf(() => writeSampleCheckpoint(vast))).code).toBe('DISK_FULL')
  const underFile = { shape: 'tiny', folder: join(folder, 'precious.txt', 'x'), numbers: SMALL } as const
  expect((await errorOf(() => writeSampleCheckpoint(underFile))).kind).toBe('environment')
  expect(await readdir(parent)).toEqual(['full'])
  expect(await readdir(folder)).toEqual(['precious.txt'])
})
