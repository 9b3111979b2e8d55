/**
 * Plans against reference exports of the sample: a tensor that is missing, misnamed, in the wrong shard, order or dtype, or a
 * configuration text that differs in one byte fails here. Fixtures: ModelOpt 0.47.0 with transformers 5.18.0 and safetensors 0.8.0,
 * condensed by test/tools/make-plan-fixtures.mjs.
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { ExportPlan } from '../../../main/engine/pipeline/export-plan.ts'
import { planExport } from '../../../main/engine/pipeline/plan-export.ts'
import { loadRecipe } from '../../../main/engine/recipes/load-recipe.ts'
import { openSample } from '../../tools/open-sample.ts'

interface PlanFixture {
  readonly preset: string
  readonly tensorCount: number
  readonly firstTensors: readonly string[]
  readonly listingSha256: string
  readonly shards: readonly { readonly file: string; readonly bytes: number; readonly headerBytes: number }[]
  readonly hfQuantConfig: string
  readonly quantizationConfig: unknown
  readonly indexSha256: string
}

const FOLDER = join(import.meta.dirname, '../../fixtures/plan')
const FIXTURES = readdirSync(FOLDER).map(
  (name) => JSON.parse(readFileSync(join(FOLDER, name), 'utf8')) as PlanFixture,
)

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Lines as in the fixture: by place in the files, with the position in state-dict order. */
function listing(plan: ExportPlan): readonly string[] {
  return plan.tensors
    .map((tensor, order) => ({ tensor, order }))
    .sort((a, b) => a.tensor.shardIndex - b.tensor.shardIndex || a.tensor.offsetBytes - b.tensor.offsetBytes)
    .map(({ tensor, order }) => {
      const { name, dtype, shape, shardIndex } = tensor
      return `${plan.shards[shardIndex]?.fileName ?? ''} ${name} ${dtype} [${shape.join(',')}] ${String(order)}\n`
    })
}

function textOf(plan: ExportPlan, fileName: string): string {
  return plan.textFiles.find((file) => file.fileName === fileName)?.text ?? ''
}

test('there is a fixture for every reference export', () => {
  expect(FIXTURES).toHaveLength(21)
})

describe.each(FIXTURES)('$preset', (fixture) => {
  let plan: ExportPlan

  beforeAll(async () => {
    const recipe = loadRecipe(fixture.preset)
    plan = planExport({ ...(await openSample()), recipe, profile: 'identical', maxShardSizeBytes: 4_000_000 })
  })

  test('names, dtypes, shapes, shards, file order and state-dict order', () => {
    const lines = listing(plan)
    expect(lines.slice(0, 3)).toEqual(fixture.firstTensors)
    expect(lines).toHaveLength(fixture.tensorCount)
    expect(sha256(lines.join(''))).toBe(fixture.listingSha256)
  })

  test('shard files and headers have the reference sizes', () => {
    const shards = plan.shards.map(({ fileName, sizeBytes, header }) => ({
      file: fileName,
      bytes: sizeBytes,
      headerBytes: header.length - 8,
    }))
    expect(shards).toEqual(fixture.shards)
  })

  test('hf_quant_config.json and the index are byte-identical', () => {
    expect(textOf(plan, 'hf_quant_config.json')).toBe(fixture.hfQuantConfig)
    expect(sha256(textOf(plan, 'model.safetensors.index.json'))).toBe(fixture.indexSha256)
  })

  test('quantization_config is equal, keys in the same order, and last in config.json', () => {
    const config = JSON.parse(textOf(plan, 'config.json')) as Record<string, unknown>
    expect(JSON.stringify(config['quantization_config'])).toBe(JSON.stringify(fixture.quantizationConfig))
    expect(Object.keys(config).at(-1)).toBe('quantization_config')
  })
})
