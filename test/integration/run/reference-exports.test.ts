/**
 * The whole export against ModelOpt's, byte for byte: a wrong rounding, order, offset or separator anywhere changes a hash.
 * Expected hashes come from reference exports condensed by test/tools/make-export-fixtures.mjs.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runForTest, sha256File } from '../../tools/run-for-test.ts'
import { writeAmaxFixture } from '../../tools/write-amax-fixture.ts'

interface ExportFixture {
  readonly shards: readonly {
    readonly fileName: string
    readonly sizeBytes: number
    readonly sha256: string
  }[]
  readonly statisticalTensors: number
  readonly hfQuantConfigSha256: string
  readonly indexSha256: string
  readonly quantizationConfig: unknown
}

const FIXTURES = join(import.meta.dirname, '../../fixtures/exports')
/** Searches for block scales are left out: their reference is only statistical. */
const RECIPES = readdirSync(FIXTURES)
  .filter(
    (name) =>
      (JSON.parse(readFileSync(join(FIXTURES, name), 'utf8')) as ExportFixture).statisticalTensors === 0,
  )
  .map((name) => name.replace(/\.json$/, ''))

async function readFixture(recipe: string): Promise<ExportFixture> {
  const path = join(FIXTURES, `${recipe}.json`)
  return JSON.parse(await readFile(path, 'utf8')) as ExportFixture
}

/** Everything that no activation statistic goes into. */
const isWeightOnly = (name: string): boolean => !/\.(input_scale|k_scale|v_scale)$/.test(name)

async function weightHashes(outputPath: string): Promise<Record<string, string>> {
  const receipt = JSON.parse(await readFile(join(outputPath, 'quantmill/receipt.json'), 'utf8')) as {
    tensors: Record<string, string>
  }
  return Object.fromEntries(Object.entries(receipt.tensors).filter(([name]) => isWeightOnly(name)))
}

describe('identical profile', () => {
  test.each(RECIPES)('%s has the bytes of the reference export', async (recipe) => {
    const fixture = await readFixture(recipe)
    const { report, outputPath } = await runForTest({
      options: { recipe, profile: 'identical', maxShardSizeBytes: 4_000_000 },
      amaxPath: await writeAmaxFixture(recipe),
    })
    expect(report.findings).toEqual([])
    for (const shard of fixture.shards) {
      expect(await sha256File(join(outputPath, shard.fileName)), shard.fileName).toBe(shard.sha256)
    }
    expect(await sha256File(join(outputPath, 'hf_quant_config.json'))).toBe(fixture.hfQuantConfigSha256)
    expect(await sha256File(join(outputPath, 'model.safetensors.index.json'))).toBe(fixture.indexSha256)
    const config = JSON.parse(await readFile(join(outputPath, 'config.json'), 'utf8')) as Record<
      string,
      unknown
    >
    expect(config['quantization_config']).toEqual(fixture.quantizationConfig)
  })

  test.each(['nvfp4_experts_only-kv_fp8', 'nvfp4_default-kv_fp8', 'fp8_default-kv_fp8'])(
    '%s calibrated by ourselves differs in activation scales only',
    async (recipe) => {
      const options = { recipe, profile: 'identical' as const, samples: 4, sequenceLength: 64 }
      const given = await runForTest({ options, amaxPath: await writeAmaxFixture(recipe) })
      const own = await runForTest({ options })
      const expected = await weightHashes(given.outputPath)
      expect(Object.keys(expected).length).toBeGreaterThan(900)
      expect(await weightHashes(own.outputPath)).toEqual(expected)
      expect(own.report.calibratedTokens).toBe(256)
      // The time went into calibration, and a report that leaves it out would send people to the wrong stage.
      expect(Object.keys(own.report.stageDurationsMs)).toEqual([
        'plan',
        'calibrate',
        'export',
        'seal',
        'verify',
      ])
      expect(Object.keys(given.report.stageDurationsMs)).toEqual(['plan', 'export', 'seal', 'verify'])
    },
  )
})
