/** `eval` as a user calls it, on an export and against what it was made from. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { QualityReport } from '../../../shared/domain/quality-report.ts'
import { runCli } from '../../tools/cli.ts'
import { ExportCopy, readFiles } from '../../tools/export-surgery.ts'
import { runForTest } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

const DATA = ['--data', 'builtin', '--samples', '2', '--seq-len', '64']
let exportPath = ''

beforeAll(async () => {
  const recipe = 'nvfp4_experts_only-kv_fp8'
  const amaxPath = await writeAmaxFixture(recipe)
  const options = { recipe, maxShardSizeBytes: 4_000_000 }
  exportPath = (await runForTest({ options, amaxPath })).outputPath
})

/** A copy of the export in which one f32 tensor was changed. */
async function withScale(tensor: string, change: (scale: number) => number): Promise<string> {
  const copy = new ExportCopy(await readFiles(exportPath))
  copy.scalar(tensor, change)
  const folder = await temporaryFolder()
  for (const [name, bytes] of copy.files) await writeFile(join(folder, name), bytes)
  return folder
}

describe('eval', () => {
  test('an export alone, in a sentence', async () => {
    const { exitCode, stdout } = await runCli(['eval', exportPath, ...DATA])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(
      /^perplexity \d+\.\d+ \(mean loss \d+\.\d+ nats\) over 126 tokens in 2 windows, cpu\n$/,
    )
  })

  test('against its source: both perplexities, every layer and expert; the quantized is the same as alone', async () => {
    const { exitCode, stdout } = await runCli(['eval', exportPath, '--against', SAMPLE, ...DATA, '--json'])
    expect(exitCode).toBe(0)
    const outcome = JSON.parse(stdout) as { perplexity: number; quality: QualityReport }
    const { quality } = outcome
    expect(quality.tokens).toBe(126)
    expect(quality.layers.map(({ layerIndex }) => layerIndex)).toEqual([0, 1, 2, 3])
    for (const { relativeError, cosine, experts } of quality.layers) {
      expect(relativeError).toBeGreaterThan(0.01)
      expect(relativeError).toBeLessThan(0.5)
      expect(cosine).toBeGreaterThan(0.9)
      expect(experts.length).toBeGreaterThan(0)
      for (const expert of experts) expect(expert.relativeError).toBeLessThan(0.5)
    }
    const alone = await runCli(['eval', exportPath, ...DATA, '--json'])
    const { perplexity } = JSON.parse(alone.stdout) as { perplexity: number }
    expect(perplexity / (quality.quantized?.perplexity ?? 0)).toBeCloseTo(1, 5)
    expect(outcome.perplexity).toBe(quality.quantized?.perplexity)
  })

  test('a checkpoint against itself: no error anywhere', async () => {
    const { exitCode, stdout } = await runCli(['eval', SAMPLE, '--against', SAMPLE, ...DATA, '--json'])
    expect(exitCode).toBe(0)
    const { quality } = JSON.parse(stdout) as { quality: QualityReport }
    expect(quality.quantized).toEqual(quality.original)
    expect(quality.top1Agreement).toBe(1)
    expect(Math.abs(quality.klMean ?? 1)).toBeLessThan(1e-6)
    for (const { relativeError, experts } of quality.layers) {
      expect(relativeError).toBe(0)
      expect(experts.every((expert) => expert.relativeError < 1e-6)).toBe(true)
    }
  })
})

describe('a damaged export', () => {
  test('an input scale of 0 is named with its layer, exit code 1', async () => {
    const tensor = 'model.language_model.layers.2.mlp.experts.5.down_proj.input_scale'
    const path = await withScale(tensor, () => 0)
    const { exitCode, stderr } = await runCli(['eval', path, '--against', SAMPLE, ...DATA])
    expect(exitCode).toBe(1)
    expect(stderr).toContain('QUALITY_NOT_FINITE: layer 2')
    expect(stderr).toContain(tensor)
  })

  test('a scale that was stored the wrong way round costs what it would cost in an engine', async () => {
    const tensor = 'model.language_model.layers.2.mlp.experts.5.down_proj.input_scale'
    const path = await withScale(tensor, (scale) => 1 / scale)
    const { stdout } = await runCli(['eval', path, '--against', SAMPLE, ...DATA, '--json'])
    const { quality } = JSON.parse(stdout) as { quality: QualityReport }
    const errors = quality.layers.map(({ relativeError }) => relativeError)
    // One scale for all experts of the layer: all of layer 2 suffers, and what comes before does not.
    expect(errors[1]).toBeLessThan(0.3)
    const [best] = quality.layers[2].experts.map(({ relativeError }) => relativeError).sort((a, b) => a - b)
    expect(best).toBeGreaterThan(0.5)
  })

  test('a folder that is none', async () => {
    const { exitCode, stderr } = await runCli([
      'eval',
      exportPath,
      '--against',
      join(SAMPLE, 'nowhere'),
      ...DATA,
    ])
    expect([exitCode, stderr.split(':')[0]]).toEqual([2, 'error CHECKPOINT_NOT_FOUND'])
  })
})
