/**
 * Quality measured in the sweep: what `eval` gives for the finished export, with the source read once and no byte of the export changed. A
 * scale that differs from the one written later, weights read before they are written, or an expert given other tokens would show here.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { readCalibrationFiles } from '../../../main/engine/io/node/calibration-files.ts'
import { loadCalibrationData } from '../../../main/engine/calibration/data/load-calibration-data.ts'
import type { ExportReport } from '../../../shared/domain/export-report.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import type { Comparison } from '../../../main/engine/quality/measure-models.ts'
import { evaluate } from '../../../main/workers/evaluate.ts'
import { openSample } from '../../tools/open-sample.ts'
import { hashExport, runForTest, silentObserver } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 2 })
afterAll(() => runtime.close())

const AMOUNT = { samples: 2, sequenceLength: 64 }

/** The finished export and the sample on the same windows. */
async function measureFinished(path: string): Promise<Pick<Comparison, 'all' | 'layers'>> {
  const { checkpoint, model } = await openSample()
  const { vocabSize, maxPositions } = model.text
  const request = { checkpoint, vocabSize, maxPositions, calibrationPath: undefined, ...AMOUNT }
  const { batch } = loadCalibrationData(await readCalibrationFiles(request))
  const input = { path, againstPath: SAMPLE, expertInputs: 'layer_max' as const, windows: [batch] }
  const { comparison } = await evaluate(input, runtime, { first: undefined, second: undefined }, {})
  if (comparison === undefined) throw new Error('nothing was compared')
  return comparison
}

describe('is what eval gives for the finished export, on one reading of the source', () => {
  test.each<Partial<RunOptions> & { recipe: string }>([
    { recipe: 'nvfp4_default-kv_fp8', dialect: 'compressed-tensors' },
    { recipe: 'int4_blockwise_weight_only' },
  ])('%o', async (options) => {
    const { report, outputPath } = await runForTest({ options: { ...options, ...AMOUNT, quality: 'full' } })
    const { quality, findings, bytesRead, sourceBytes } = report
    expect(findings).toEqual([])
    expect(quality?.tokens).toBe(126)
    expect(bytesRead / sourceBytes).toBeGreaterThanOrEqual(1)
    expect(bytesRead / sourceBytes).toBeLessThanOrEqual(1.02)
    const finished = await measureFinished(outputPath)
    expect(quality?.layers).toEqual(finished.layers)
    expect(quality?.klMean).toBeCloseTo(finished.all.klMean, 6)
    expect(quality?.quantized?.perplexity).toBeCloseTo(finished.all.quantized.perplexity, 3)
    for (const { relativeError } of finished.layers) {
      expect(relativeError).toBeGreaterThan(0.001)
      expect(relativeError).toBeLessThan(0.5)
    }
  })
})

test('changes no byte of the export, shows experts while it runs, and is in the reports', async () => {
  const recipe = 'nvfp4_experts_only-kv_fp8'
  const options = { recipe, ...AMOUNT }
  const amaxPath = await writeAmaxFixture(recipe)
  const without = await runForTest({ options, amaxPath })
  expect(without.report.quality).toBeUndefined()
  const shown = new Map<number, readonly (number | null)[]>()
  const observer = {
    ...silentObserver(),
    expertErrors: (layer: number, errors: readonly (number | null)[]) => shown.set(layer, errors),
  }
  const measured = await runForTest({ options: { ...options, quality: 'full' }, amaxPath }, observer)
  expect(await hashExport(measured.outputPath)).toEqual(await hashExport(without.outputPath))
  const { quality, bytesRead, sourceBytes } = measured.report
  expect(bytesRead).toBeLessThanOrEqual(1.02 * sourceBytes)
  expect([...shown.keys()]).toEqual([0, 1, 2, 3])
  for (const { layerIndex, experts } of quality?.layers ?? []) {
    expect(experts.length).toBeGreaterThan(8)
    for (const { expertIndex, relativeError } of experts)
      expect(shown.get(layerIndex)?.[expertIndex]).toBe(relativeError)
  }
  const text = await readFile(join(measured.outputPath, 'quantmill', 'report.json'), 'utf8')
  expect((JSON.parse(text) as ExportReport).quality).toEqual(quality)
})

test('layers only; the same with any number of workers, and with states in a scratch file', async () => {
  const options = { recipe: 'nvfp4_experts_only-kv_fp8', ...AMOUNT, quality: 'layers' } as const
  const reports = []
  for (const change of [{ workers: 1 }, { workers: 3, memoryBytes: 0 }]) {
    const { report } = await runForTest({ options: { ...options, ...change } })
    reports.push(report)
  }
  expect(reports[0]?.quality).toMatchObject({ windows: 2, tokens: 0 })
  expect(reports[0]?.quality?.layers).toHaveLength(4)
  expect(reports[0]?.quality?.original).toBeUndefined()
  expect(reports[1]?.quality).toEqual(reports[0]?.quality)
  expect(reports[1]?.spilledBytes).toBeGreaterThan(0)
})
