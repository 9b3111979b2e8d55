/** Comparing checkpoints: both dialects decode to the same values, a changed byte is found where it is, errors are those of the format. */
import { beforeAll, describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { compareCheckpoints } from '../../../main/engine/verify/compare/compare-checkpoints.ts'
import { compareText } from '../../../main/engine/verify/compare/compare-text.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const RECIPE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
const EXPERTS = 'model.language_model.layers.2.mlp.experts'

describe('compare', () => {
  const source = new NodeCheckpointFolder(SAMPLE)
  let modelopt: ReadonlyMap<string, Uint8Array<ArrayBuffer>>
  let compressed: NodeCheckpointFolder

  beforeAll(async () => {
    const options = { recipe: RECIPE, maxShardSizeBytes: 4_000_000 }
    modelopt = await readFiles((await runForTest({ options })).outputPath)
    const other = await runForTest({ options: { ...options, dialect: 'compressed-tensors' } })
    compressed = new NodeCheckpointFolder(other.outputPath)
  })

  test('an export and its source: the fused experts of the source are seen one by one', async () => {
    const report = await compareCheckpoints(new ExportCopy(modelopt).folder(), source)
    expect(report.reference).toBe('right')
    // 4 layers x 32 experts x 3 matrices, and the 116 tensors that are carried over.
    expect(report.formatPairs.find(({ left }) => left === 'NVFP4')).toMatchObject({
      right: 'BF16',
      matrixCount: 384,
      identicalCount: 0,
    })
    expect(report.identicalCount).toBe(116)
    // Four bits of Gaussian weights in blocks of 16: 8 to 12 %.
    for (const row of report.expertError) {
      expect(row).toHaveLength(32)
      for (const error of row ?? []) expect(error ?? 0).toBeGreaterThan(0.08)
      for (const error of row ?? []) expect(error ?? 1).toBeLessThan(0.12)
    }
    // A cast KV cache has the scale 1 and stores none.
    expect(report.onlyLeft.count).toBe(0)
    expect(report.onlyRight.count).toBe(0)
    // One scale for each block of 16 of 4 layers x 32 experts x 3 matrices of 128 x 256.
    const [scales] = report.scales
    expect(scales).toMatchObject({ side: 'left', format: 'NVFP4', unusable: 0 })
    expect(scales?.counts.reduce((sum, count) => sum + count, 0)).toBe((4 * 32 * 3 * 128 * 256) / 16)
    expect(report.configs.items.map(({ fileName, path }) => `${fileName} ${path}`)).toContain(
      'config.json quantization_config',
    )
  })

  test('the same weights in the other dialect are equal up to the rounding of their reciprocal tensor scale', async () => {
    const report = await compareCheckpoints(new ExportCopy(modelopt).folder(), compressed)
    expect(report.reference).toBe('left')
    // f32(1 / f32(1 / scale)) is at most one unit in the last place away: 2^-23.
    for (const { relativeError } of report.worst) expect(relativeError).toBeLessThan(1.2e-7)
    expect(report.formatPairs.find(({ left }) => left === 'NVFP4')?.matrixCount).toBe(384)
    expect(report.right.dialect).toBe('compressed-tensors')
  })

  test('one changed code is found in its expert, and nowhere else', async () => {
    const copy = new ExportCopy(modelopt)
    const name = `${EXPERTS}.17.up_proj.weight`
    copy.poke(name, (bytes) => {
      bytes[100] = (bytes[100] ?? 0) ^ 0x07
    })
    const report = await compareCheckpoints(new ExportCopy(modelopt).folder(), copy.folder())
    expect(report.worst).toMatchObject([
      { name: `${EXPERTS}.17.up_proj`, layerIndex: 2, expertIndex: 17, notFinite: 0 },
    ])
    const different = report.expertError.flatMap((row, layer) =>
      (row ?? []).flatMap((error, expert) => (error === 0 ? [] : [[layer, expert]])),
    )
    expect(different).toEqual([[2, 17]])
  })

  test('a missing tensor, another shape and a changed configuration are named; text has no control characters', async () => {
    const copy = new ExportCopy(modelopt)
    copy.replace(['model.language_model.norm.weight'], () => [])
    copy.json('config.json', (json) => ({
      ...json,
      architectures: ['Qwen3_5MoeForConditionalGeneration', 'x\u001b[2J'],
    }))
    const report = await compareCheckpoints(new ExportCopy(modelopt).folder(), copy.folder())
    expect(report.onlyLeft).toEqual({ count: 1, items: ['model.language_model.norm'] })
    expect(report.configs.items).toEqual([
      { fileName: 'config.json', path: 'architectures', left: undefined, right: 'x\u001b[2J' },
    ])
    expect(compareText(report)).toContain('config.json architectures: absent | x [2J')
  })

  test('a comparison that is cancelled ends with CANCELLED', async () => {
    let calls = 0
    const isCancelled = (): boolean => (calls += 1) > 5
    const error = await errorOf(() => compareCheckpoints(source, source, { isCancelled }))
    expect(error.code).toBe('CANCELLED')
  })
})
