/** A record of other vectors than those of the weights would be called sound by every rule about names and shapes. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const AMOUNT = { samples: 4, sequenceLength: 128, maxShardSizeBytes: 4_000_000 }

function verify(path: string): Promise<VerifyReport> {
  return verifyExport(new NodeCheckpointFolder(path), { source: new NodeCheckpointFolder(SAMPLE) })
}

test('rescaling is reported, and vectors that are not those of the export are found: in norms, router and quantized weights', async () => {
  const { outputPath, report } = await runForTest({ options: { recipe: 'int4_awq', ...AMOUNT } })
  const notices = report.calibrationNotices ?? []
  // 4 layers: two norms, the shared expert's and 32 experts' inputs of down.
  expect(notices.find((line) => line.includes('rescaled'))).toMatch(/ of 140 sets of input channels/)
  expect(notices.join()).toContain('quantmill eval')
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
