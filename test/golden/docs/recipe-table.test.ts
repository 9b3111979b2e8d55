/** docs/recipes.md must say what the recipes and the engine rules say. QUANTMILL_WRITE_DOCS=1 writes it anew. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { expect, test } from 'vitest'
import { verdictsByDialect } from '../../../main/engine/export/engine-verdicts.ts'
import { planExport } from '../../../main/engine/pipeline/plan-export.ts'
import { listRecipes, loadRecipe } from '../../../main/engine/recipes/load-recipe.ts'
import { recipeTable, type RecipeRow } from '../../../main/engine/recipes/recipe-table.ts'
import { openSample } from '../../tools/open-sample.ts'

const PATH = join(import.meta.dirname, '../../../docs/recipes.md')
const INTRODUCTION = `# Built-in recipes

Generated from the recipes and the engine rules. Bits count the scales; "data" means that a calibration run (or a dump with \`--amax\`) is
needed. Every recipe can be written in two dialects, \`modelopt\` (MO) and \`compressed-tensors\` (CT); "default" is what a run without
\`--dialect\` writes, and bits and data are about it (in CT, \`int8\` scales inputs per token and needs no data, and NVFP4 blocks of 32
become blocks of 16). "–" means that the dialect cannot hold the recipe, or that vLLM has no method for it. Engine columns are what the
rules of \`main/engine/verify/rules\` say for a Qwen3.5-MoE in the hardened profile; they were read in the loaders' sources, not run.
Names follow ModelOpt; every preset also exists with \`-kv_fp8\`, \`-kv_fp8_cast\`, \`-kv_nvfp4\` and \`-kv_nvfp4_cast\`.
`

test('docs/recipes.md is current', async () => {
  const { checkpoint, model } = await openSample()
  const rows = listRecipes().map((summary): RecipeRow => {
    const recipe = loadRecipe(summary.name)
    const plan = planExport({
      checkpoint,
      model,
      recipe,
      profile: 'hardened',
      maxShardSizeBytes: 10_000_000_000,
    })
    return { summary, dialect: plan.dialect ?? 'modelopt', engines: verdictsByDialect(plan, model) }
  })
  const options = await resolveConfig(PATH)
  const expected = await format(`${INTRODUCTION}\n${recipeTable(rows)}\n`, { ...options, parser: 'markdown' })
  if (process.env['QUANTMILL_WRITE_DOCS'] === '1') await writeFile(PATH, expected)
  expect(await readFile(PATH, 'utf8')).toBe(expected)
  expect(rows.length).toBeGreaterThan(30)
})
