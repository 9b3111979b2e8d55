/**
 * Recipes that rescale input channels: the same bytes whoever searches, a record that lets the export be compared with its source, and a
 * reported effect. A vector folded into one side only, or a record of other vectors, would be called sound by every rule about shapes.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const AMOUNT = { samples: 4, sequenceLength: 128, maxShardSizeBytes: 4_000_000 }

function verify(path: string): Promise<VerifyReport> {
  return verifyExport(new NodeCheckpointFolder(path), { source: new NodeCheckpointFolder(SAMPLE) })
}

test.each<Pick<RunOptions, 'recipe' | 'dialect'>>([
  { recipe: 'int4_awq', dialect: 'compressed-tensors' },
  { recipe: 'int8_smoothquant', dialect: 'compressed-tensors' },
  { recipe: 'nvfp4_awq_lite', dialect: 'modelopt' },
])('%o: any number of workers, sound beside its source', async (options) => {
  const one = await runForTest({ options: { ...options, ...AMOUNT, workers: 1 } })
  const three = await runForTest({ options: { ...options, ...AMOUNT, workers: 3 } })
  expect(await hashExport(three.outputPath)).toEqual(await hashExport(one.outputPath))
  const { findings, rules } = await verify(one.outputPath)
  expect(findings.filter(({ severity }) => severity === 'error')).toEqual([])
  expect(rules.find(({ id }) => id === 'source.error')?.state).toBe('passed')
  const notices = one.report.calibrationNotices ?? []
  const notice = notices.find((line) => line.includes('rescaled')) ?? ''
  // 4 layers: two norms, the shared expert's and 32 experts' inputs of down.
  expect(notice).toMatch(/rescaled \d+ of 140 sets of input channels/)
  expect(notices.join()).toContain('quantmill eval')
})

test('vectors that are not those of the export are found: in norms, router and quantized weights', async () => {
  const { outputPath } = await runForTest({ options: { recipe: 'int4_awq', ...AMOUNT } })
  const path = join(outputPath, 'quantmill', 'smoothing.safetensors')
  const bytes = await readFile(path)
  const headerBytes = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
    string,
    { data_offsets: [number, number] }
  >
  const [from, to] = header['model.language_model.layers.2.post_attention_layernorm'].data_offsets
  const start = 8 + headerBytes
  for (let at = start + from; at < start + to; at += 4) bytes.writeFloatLE(bytes.readFloatLE(at) * 1.5, at)
  await writeFile(path, bytes)
  const names = (await verify(outputPath)).findings
    .filter(({ severity }) => severity === 'error')
    .map(({ subject }) => subject)
  expect(names).toContain('model.language_model.layers.2.post_attention_layernorm.weight')
  expect(names).toContain('model.language_model.layers.2.mlp.gate.weight')
  expect(names.some((name) => name.startsWith('model.language_model.layers.2.mlp.experts.'))).toBe(true)
  expect(
    names.every(
      (name) => name.startsWith('model.language_model.layers.2.mlp') || name.includes('layers.2.post'),
    ),
  ).toBe(true)
})
