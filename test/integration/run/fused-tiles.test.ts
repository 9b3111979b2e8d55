/**
 * FP8 in 128 x 128 tiles of experts whose width tiles do not divide. ModelOpt divides the tile maxima of the fused [2F, H] weight by rows; a
 * writer that gives each half tiles of its own, or one scale where ModelOpt keeps four dimensions, differs from its bytes.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import { encodeMatrix } from '../../../main/engine/quant/encode-reference.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { convertExport } from '../../../main/host/convert/convert-export.ts'
import type { ProfileChoice } from '../../../shared/domain/run-options.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { readExport, writeShard, type RawTensor } from '../../tools/read-export.ts'
import { hashExport, runForTest, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const EXPERT = 'model.layers.0.mlp.experts.1'
const FORMAT = { format: 'fp8_pb_wo', blockSize: undefined, inputScale: undefined } as const

async function checkpointOf(hiddenSize: number, expertWidth: number): Promise<string> {
  const folder = join(await temporaryFolder(), 'checkpoint')
  const numbers = {
    hiddenSize,
    expertWidth,
    sharedExpertWidth: 16,
    expertCount: 2,
    topK: 1,
    vocabSize: 64,
    fullAttentionInterval: 1,
    headCount: 2,
    kvHeadCount: 1,
    headDim: 16,
  }
  const layout = { expertLayout: 'per_expert', prefix: 'flat', mtpLayout: 'none', hasHead: false } as const
  await writeSampleCheckpoint({ shape: 'tiny', folder, layerCount: 1, seed: 29, numbers, ...layout })
  return folder
}

async function exported(checkpointPath: string, profile: ProfileChoice) {
  const options = { recipe: 'fp8_2d_blockwise_weight_only', profile }
  return runForTest({ checkpointPath, options })
}

function bits(tensor: RawTensor | undefined): Uint16Array {
  const bytes = Uint8Array.from(tensor?.bytes ?? [])
  return new Uint16Array(bytes.buffer)
}

describe('gate and up that share tiles', () => {
  test.each([
    // hidden size, expert width, shapes of the scales of gate and up in the identical profile
    [128, 128, [1, 1, 1, 1], [1, 1, 1, 1]],
    [96, 96, [1, 1, 1, 1], [1, 1, 1, 1]],
    [272, 192, [1, 1, 3, 1], [2, 1, 3, 1]],
    [64, 48, [], []],
  ])('H %i, F %i: the bytes of the divided fused weight', async (hiddenSize, expertWidth, gate, up) => {
    const checkpointPath = await checkpointOf(hiddenSize, expertWidth)
    const { outputPath } = await exported(checkpointPath, 'identical')
    const source = await readExport(checkpointPath)
    const [gateBits, upBits] = ['gate', 'up'].map((name) => bits(source.get(`${EXPERT}.${name}_proj.weight`)))
    const fusedBits = new Uint16Array([...(gateBits ?? []), ...(upBits ?? [])])
    const whole = { bits: fusedBits, rows: 2 * expertWidth, cols: hiddenSize }
    const tensors = await readExport(outputPath)
    for (const [position, [name, shape]] of [['gate', gate] as const, ['up', up] as const].entries()) {
      const startRow = position * expertWidth
      const half = position === 0 ? gateBits : upBits
      const matrix = { bits: half ?? fusedBits, rows: expertWidth, cols: hiddenSize }
      const fused = { startRow, totalRows: 2 * expertWidth, matrix: whole }
      const expected = encodeMatrix(FORMAT, matrix, 'cuda', undefined, fused)
      const weight = tensors.get(`${EXPERT}.${name}_proj.weight`)
      const scale = tensors.get(`${EXPERT}.${name}_proj.weight_scale`)
      expect(scale?.shape).toEqual(shape)
      expect(scale?.bytes.equals(expected.weightScale)).toBe(true)
      expect(weight?.bytes.equals(expected.weight)).toBe(true)
    }
  })

  test('F32 weights that hold BF16 values give the same bytes', async () => {
    const checkpointPath = await checkpointOf(96, 96)
    const plain = await exported(checkpointPath, 'identical')
    const tensors = new Map(await readExport(checkpointPath))
    for (const [name, { shape, bytes }] of tensors) {
      if (!/\.experts\.\d+\.(gate|up)_proj\.weight$/.test(name)) continue
      const widened = Buffer.alloc(2 * bytes.length)
      for (let at = 0; at < bytes.length; at += 2) widened.writeUInt16LE(bytes.readUInt16LE(at), 2 * at + 2)
      tensors.set(name, { dtype: 'F32', shape, bytes: widened })
    }
    await writeShard(checkpointPath, tensors)
    const wide = await exported(checkpointPath, 'identical')
    const expected = await readExport(plain.outputPath)
    for (const [name, { bytes }] of await readExport(wide.outputPath))
      expect(expected.get(name)?.bytes.equals(bytes), name).toBe(true)
  })

  test('values that the divided maxima do not cover are reported, and verify finds them', async () => {
    const checkpointPath = await checkpointOf(272, 192)
    const { report, outputPath } = await exported(checkpointPath, 'identical')
    const tensors = await readExport(outputPath)
    const hasNan = (name: string): boolean =>
      tensors.get(name)?.bytes.some((code) => (code & 0x7f) === 0x7f) === true
    const damaged = [0, 1].flatMap((expert) =>
      ['gate', 'up'].map((half) => `model.layers.0.mlp.experts.${String(expert)}.${half}_proj.weight`),
    )
    expect(report.findings.map(({ subject }) => subject)).toEqual(damaged.filter(hasNan))
    expect(report.findings.length).toBeGreaterThan(0)
    const source = new NodeCheckpointFolder(checkpointPath)
    const { findings } = await verifyExport(new NodeCheckpointFolder(outputPath), { source })
    const errors = findings.filter(({ severity }) => severity === 'error')
    expect(errors.map(({ rule }) => rule)).toEqual(report.findings.map(() => 'weight.finite'))
  })

  test('the hardened profile gives each half tiles of its own, and the export is sound', async () => {
    const checkpointPath = await checkpointOf(272, 192)
    const { report, outputPath } = await exported(checkpointPath, 'hardened')
    expect([report.findings, report.repairs]).toEqual([[], []])
    expect((await readExport(outputPath)).get(`${EXPERT}.gate_proj.weight_scale`)?.shape).toEqual([
      2, 1, 3, 1,
    ])
    const source = new NodeCheckpointFolder(checkpointPath)
    expect((await verifyExport(new NodeCheckpointFolder(outputPath), { source })).isSound).toBe(true)
  })
})

describe('conversion', () => {
  const convert = async (exportPath: string, dialect: 'modelopt' | 'compressed-tensors') =>
    convertExport(
      {
        exportPath,
        outputPath: join(await temporaryFolder(), 'converted'),
        dialect,
        profile: 'identical',
        maxShardSizeBytes: undefined,
        workers: 1,
        canOverwrite: false,
      },
      TEST_ENVIRONMENT,
      { progress: () => undefined, isCancelled: () => false },
    )

  test.each([
    [128, 128],
    [96, 96],
    [64, 48],
  ])('H %i, F %i: there and back gives the same files', async (hiddenSize, expertWidth) => {
    const { outputPath } = await exported(await checkpointOf(hiddenSize, expertWidth), 'identical')
    const there = await convert(outputPath, 'compressed-tensors')
    const back = await convert(there.displayPath, 'modelopt')
    expect(await hashExport(back.displayPath)).toEqual(await hashExport(outputPath))
  })

  test('one row of tiles for more rows than a tile has is refused by name', async () => {
    const { outputPath } = await exported(await checkpointOf(272, 192), 'identical')
    const error = await errorOf(() => convert(outputPath, 'compressed-tensors'))
    expect([error.code, error.subject]).toEqual([
      'DIALECT_UNSUPPORTED',
      'model.layers.0.mlp.experts.0.gate_proj.weight_scale',
    ])
  })
})
