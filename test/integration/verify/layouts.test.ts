/**
 * Exports of sources in every layout (experts fused, one by one, text tower without its prefix) in both dialects: each verifies against its
 * source, and each kind of rule still sees damage there. Then the ways in which an export of somebody else reaches a disk.
 */
import { cp, mkdir, readdir, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { runCli } from '../../tools/cli.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const RECIPE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'

const LAYOUTS = {
  fused: { expertLayout: 'fused', prefix: 'nested', mtpLayout: 'fused', hasVision: true },
  'per-expert': { expertLayout: 'per_expert', prefix: 'nested', mtpLayout: 'per_expert', hasVision: true },
  flat: { expertLayout: 'per_expert', prefix: 'flat', mtpLayout: 'per_expert', hasVision: false },
} as const
type Layout = keyof typeof LAYOUTS

const sources = new Map<Layout, Promise<string>>()

/** One layer of four experts, MTP and, where the layout has it, vision. */
async function writeSource(layout: Layout): Promise<string> {
  const folder = join(await temporaryFolder(), 'source')
  const numbers = { expertCount: 4 }
  await writeSampleCheckpoint({
    ...{ shape: 'tiny', folder, layerCount: 1, tokenizerFolder: SAMPLE, numbers },
    ...LAYOUTS[layout],
  })
  return folder
}

function sourceOf(layout: Layout): Promise<string> {
  const source = sources.get(layout) ?? writeSource(layout)
  sources.set(layout, source)
  return source
}

const brokenRules = ({ rules }: VerifyReport): readonly string[] =>
  rules.filter(({ severity, state }) => severity === 'error' && state === 'broken').map(({ id }) => id)

const CASES = (Object.keys(LAYOUTS) as Layout[]).flatMap((layout) =>
  (['modelopt', 'compressed-tensors'] as const).map((dialect) => [layout, dialect] as const),
)

/** A weight of an expert, whatever the dialect calls it, and the other tensors of the same matrix. */
const CODES = /experts\.2\.down_proj\.weight(_packed)?$/
const BLOCK_SCALE = /experts\.2\.down_proj\.weight_scale$/
const TENSOR_SCALE = /experts\.2\.up_proj\.weight_(scale_2|global_scale)$/
const MTP = /^mtp\..*q_proj\.weight$/

describe.each(CASES)('a source with layout %s, exported as %s', (layout, dialect) => {
  const exported = sourceOf(layout).then((checkpointPath) =>
    runForTest({
      checkpointPath,
      options: { recipe: RECIPE, dialect, kv: 'none', maxShardSizeBytes: 1_000_000 },
    }),
  )

  test('verifies against its source', async () => {
    const source = new NodeCheckpointFolder(await sourceOf(layout))
    const report = await verifyExport(new NodeCheckpointFolder((await exported).outputPath), { source })
    expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([])
    // 4 experts of 3 matrices.
    expect([report.dialect, report.quantizedMatrixCount, report.comparedMatrixCount]).toEqual([
      dialect,
      12,
      12,
    ])
    const skipped = report.rules.filter(
      ({ state, id }) => state === 'skipped' && id !== 'config.layers-known',
    )
    expect(skipped).toEqual([])
  })

  test.each([
    [
      'a lost matrix',
      'names.exact',
      CODES,
      (copy: ExportCopy, name: string) => copy.replace([name], () => []),
    ],
    ['a NaN block scale', 'scale.nan', BLOCK_SCALE, poke(0, 0x7f)],
    [
      'unequal gate and up',
      'scale.gate-up',
      TENSOR_SCALE,
      (copy: ExportCopy, name: string) => copy.scalar(name, (value) => value * 2),
    ],
    ['a changed weight', 'source.error', CODES, poke(77, 0x77)],
    ['a changed MTP weight', 'carried.mtp', MTP, poke(9, 1)],
  ] as const)('%s breaks %s', async (_what, rule, pattern, damage) => {
    const copy = new ExportCopy(await readFiles((await exported).outputPath))
    const [name = ''] = copy.names(pattern)
    damage(copy, name)
    const source = new NodeCheckpointFolder(await sourceOf(layout))
    expect(brokenRules(await verifyExport(copy.folder(), { source }))).toEqual([rule])
  })
})

function poke(at: number, flipped: number) {
  return (copy: ExportCopy, name: string): void => {
    copy.poke(name, (bytes) => {
      // A byte that is what it should become already is turned over.
      bytes[at] = bytes[at] === flipped ? flipped ^ 0xff : flipped
    })
  }
}

describe('an export of somebody else', () => {
  const exported = sourceOf('fused').then((checkpointPath) =>
    runForTest({ checkpointPath, options: { recipe: RECIPE, kv: 'none' } }),
  )

  test('in the cache of a hub: links into a store of blobs, no receipt', async () => {
    const cache = await temporaryFolder()
    const snapshot = join(cache, 'models--somebody--model', 'snapshots', '0123abc')
    const blobs = join(cache, 'models--somebody--model', 'blobs')
    await mkdir(snapshot, { recursive: true })
    await cp((await exported).outputPath, blobs, { recursive: true })
    await rm(join(blobs, 'quantmill'), { recursive: true })
    for (const [index, name] of (await readdir(blobs)).entries()) {
      await rename(join(blobs, name), join(blobs, `blob${String(index)}`))
      await symlink(`../../blobs/blob${String(index)}`, join(snapshot, name))
    }
    const source = await sourceOf('fused')
    const verified = await runCli(['verify', snapshot, '--source', source, '--json'])
    expect([verified.exitCode, verified.stderr]).toEqual([0, ''])
    expect(JSON.parse(verified.stdout)).toMatchObject({ isSound: true, comparedMatrixCount: 12 })
    const { exitCode, stderr } = await runCli(['verify', snapshot, '--receipt'])
    expect(exitCode).toBe(3)
    expect(stderr).toMatch(/^error READ_FAILED: .*receipt\.json/)
  })

  test.each([
    ['QuantizationModifier', 'passed'],
    // Rounds against the data: the source says little about its values, so no bound is held against it.
    ['GPTQModifier', 'skipped'],
  ])(
    "as LLM Compressor's %s leaves it: patterns, keys of its own, a recipe beside the weights",
    async (modifier, state) => {
      const { outputPath } = await runForTest({
        checkpointPath: await sourceOf('per-expert'),
        options: { recipe: RECIPE, kv: 'none', dialect: 'compressed-tensors', maxShardSizeBytes: 1_000_000 },
      })
      const copy = new ExportCopy(await readFiles(outputPath))
      copy.json('config.json', (json) => {
        const { quantization_config: config, ...rest } = json as { quantization_config: object }
        const own = {
          ignore: [
            'lm_head',
            're:.*visual.*',
            're:.*mtp.*',
            're:.*mlp.gate$',
            're:.*shared_expert.*',
            're:.*linear_attn.*',
          ],
          ...{ quantization_status: 'compressed', global_compression_ratio: null, kv_cache_scheme: null },
          ...{ version: '0.12.2', transform_config: {}, sparsity_config: {} },
        }
        return { ...rest, quantization_config: { ...config, ...own } }
      })
      const recipe = `default_stage:\n  default_modifiers:\n    ${modifier}:\n      targets: [Linear]\n      scheme: NVFP4\n`
      copy.files.set('recipe.yaml', new TextEncoder().encode(recipe))
      const source = new NodeCheckpointFolder(await sourceOf('per-expert'))
      const report = await verifyExport(copy.folder(), { source })
      expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([])
      expect([report.isSound, report.dialect, report.quantizedMatrixCount]).toEqual([
        true,
        'compressed-tensors',
        12,
      ])
      expect(report.rules.find(({ id }) => id === 'source.error')?.state).toBe(state)
    },
  )
})
