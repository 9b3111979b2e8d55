/**
 * A correct export breaks no rule; each way of damaging it breaks exactly the rule that is there for it. A rule that sleeps, or one that
 * fires for something else, fails here.
 */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { HEADER_DAMAGES } from './header-damages.ts'
import { VALUE_DAMAGES } from './value-damages.ts'

const RECIPE = 'nvfp4_default-kv_fp8'
const DAMAGES = [...HEADER_DAMAGES, ...VALUE_DAMAGES]
const source = new NodeCheckpointFolder(SAMPLE)
let files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>

async function referenceAmax(): Promise<string> {
  const path = join(import.meta.dirname, `../../fixtures/exports/${RECIPE}.json`)
  const { amax } = JSON.parse(readFileSync(path, 'utf8')) as { amax: Record<string, readonly number[]> }
  const dump = Object.entries(amax).map(([name, value]) => [name, { dtype: 'bfloat16', shape: [], value }])
  const target = join(await temporaryFolder(), 'amax.json')
  await writeFile(target, JSON.stringify(Object.fromEntries(dump)))
  return target
}

function brokenRules({ rules }: VerifyReport): readonly string[] {
  return rules.filter(({ severity, state }) => severity === 'error' && state === 'broken').map(({ id }) => id)
}

beforeAll(async () => {
  const { outputPath } = await runForTest({
    options: { recipe: RECIPE, profile: 'hardened', maxShardSizeBytes: 4_000_000 },
    amaxPath: await referenceAmax(),
  })
  files = await readFiles(outputPath)
})

describe('a correct export', () => {
  test('breaks no rule, with every rule applied', async () => {
    const report = await verifyExport(new ExportCopy(files).folder(), { source })
    expect(report.findings).toEqual([])
    expect(report.isSound).toBe(true)
    // A precision map is all that a uniform export cannot have.
    expect(report.rules.filter(({ state }) => state === 'skipped').map(({ id }) => id)).toEqual([
      'config.layers-known',
    ])
    expect(report).toMatchObject({
      dialect: 'modelopt',
      algorithm: 'NVFP4',
      kvCache: 'fp8',
      layerCount: 4,
      expertCount: 32,
      // 4 layers of 32 experts, 3 shared matrices each, 3 linear layers of 3 projections, 1 full layer of 4.
      quantizedMatrixCount: 4 * 32 * 3 + 4 * 3 + 3 * 3 + 4,
      comparedMatrixCount: 409,
    })
    expect(report.actualQuantizedBytes).toBe(report.expectedQuantizedBytes)
  })

  test('without the source, rules about it are skipped and named', async () => {
    const report = await verifyExport(new ExportCopy(files).folder())
    expect(report.isSound).toBe(true)
    expect(report.rules.filter(({ state }) => state === 'skipped').map(({ id }) => id)).toEqual([
      'config.layers-known',
      'source.model',
      'source.unquantized',
      'source.error',
      'source.side-files',
      'source.documents',
    ])
  })

  test('the same export as one file without index', async () => {
    const copy = new ExportCopy(files)
    const shards = [...copy.files.keys()].filter((name) => name.endsWith('.safetensors'))
    const [first = '', ...others] = shards
    copy.writeShard(
      first,
      shards.flatMap((shard) => copy.readShard(shard)),
    )
    for (const name of [...others, 'model.safetensors.index.json']) copy.files.delete(name)
    copy.files.set('model.safetensors', copy.files.get(first) ?? new Uint8Array(0))
    copy.files.delete(first)
    const report = await verifyExport(copy.folder(), { source })
    expect(report.findings).toEqual([])
  })
})

describe('damage', () => {
  test('there are at least 40 kinds, and every rule of severity error has one', async () => {
    const { rules } = await verifyExport(new ExportCopy(files).folder())
    const errors = rules.filter(({ severity }) => severity === 'error').map(({ id }) => id)
    expect(DAMAGES.length).toBeGreaterThanOrEqual(40)
    expect(new Set(DAMAGES.map(({ rule }) => rule))).toEqual(new Set(errors))
  })

  test.each(DAMAGES)('$rule: $name', async ({ rule, needsSource, damage }) => {
    const copy = new ExportCopy(files)
    damage(copy)
    const report = await verifyExport(copy.folder(), needsSource === true ? { source } : {})
    expect(report.findings.filter(({ severity }) => severity === 'error').slice(0, 3)).not.toEqual([])
    expect(brokenRules(report)).toEqual([rule])
    expect(report.isSound).toBe(false)
  })

  test('a changed document is a warning', async () => {
    const copy = new ExportCopy(files)
    copy.files.set('README.md', new TextEncoder().encode('# other'))
    const report = await verifyExport(copy.folder(), { source })
    expect(report.findings.map(({ rule, subject }) => [rule, subject])).toEqual([
      ['source.documents', 'README.md'],
    ])
    expect(report.isSound).toBe(true)
  })

  test('a missing second description is a warning', async () => {
    const copy = new ExportCopy(files)
    copy.files.delete('hf_quant_config.json')
    const report = await verifyExport(copy.folder())
    expect(report.findings.map(({ rule, subject }) => [rule, subject])).toEqual([
      ['config.both-files', 'hf_quant_config.json'],
    ])
    expect(report.isSound).toBe(true)
  })

  test('an exclude entry that means nothing is a warning', async () => {
    const copy = new ExportCopy(files)
    copy.ignore((entries) => [...entries, 'model.language_model.language_model.layers.0.mlp.gate'])
    const report = await verifyExport(copy.folder())
    expect(report.findings.map(({ rule, subject }) => [rule, subject])).toEqual([
      ['ignore.unmatched', 'model.language_model.language_model.layers.0.mlp.gate'],
    ])
    expect(report.isSound).toBe(true)
  })

  test('thousands of findings of one rule are counted, not kept', async () => {
    const copy = new ExportCopy(files)
    copy.replace(copy.names(/experts\.\d+\..*input_scale$/), () => [])
    const report = await verifyExport(copy.folder())
    expect(report.rules.find(({ id }) => id === 'names.exact')?.findingCount).toBe(384)
    expect(report.findings).toHaveLength(20)
  })
})

describe('engines', () => {
  test.each([
    ['vllm', true],
    ['sglang', true],
    // The weight mapper refuses scales of linear-attention projections.
    ['trtllm', false],
  ] as const)('%s as a requirement', async (engine, isSound) => {
    expect((await verifyExport(new ExportCopy(files).folder(), { engine })).isSound).toBe(isSound)
  })

  test('a verdict names the rule, the tensor and where the rule was read', async () => {
    const copy = new ExportCopy(files)
    const module = 'model.language_model.layers.1.mlp.experts.5.up_proj'
    copy.scalar(`${module}.weight_scale_2`, (value) => value * 2)
    const [vllm] = (await verifyExport(copy.folder())).engines
    expect(vllm).toMatchObject({ verdict: 'fails', rule: 'vllm.gate-up-scale', subject: module })
    expect(vllm?.reason).toContain(module)
    expect(vllm?.origin).toContain('vllm#54974')
  })
})
