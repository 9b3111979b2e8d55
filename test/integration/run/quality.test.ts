/** `--quality full` measures the export that is written, changes none of its bytes, and leaves its result in the reports. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { ExportReport } from '../../../shared/domain/export-report.ts'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

test('the same export with and without; the measurement in report.json and in the run report', async () => {
  const recipe = 'nvfp4_experts_only-kv_fp8'
  const options = { recipe, samples: 2, sequenceLength: 64 }
  const amaxPath = await writeAmaxFixture(recipe)
  const without = await runForTest({ options, amaxPath })
  const measured = await runForTest({ options: { ...options, quality: 'full' }, amaxPath })
  expect(await hashExport(measured.outputPath)).toEqual(await hashExport(without.outputPath))
  expect(without.report.quality).toBeUndefined()
  const { quality, findings, bytesRead } = measured.report
  expect(findings).toEqual([])
  expect(quality?.tokens).toBe(126)
  expect(quality?.layers.map(({ layerIndex }) => layerIndex)).toEqual([0, 1, 2, 3])
  for (const { relativeError } of quality?.layers ?? []) {
    expect(relativeError).toBeGreaterThan(0.01)
    expect(relativeError).toBeLessThan(0.5)
  }
  // The source is read a second time for it, and that is said.
  expect(bytesRead).toBeGreaterThan(without.report.bytesRead)
  const text = await readFile(join(measured.outputPath, 'quantmill', 'report.json'), 'utf8')
  expect((JSON.parse(text) as ExportReport).quality).toEqual(quality)
})
