/** What the plan says of a pattern must be what the pattern does: counts and the last word are compared with the model, not with the code. */
import { beforeAll, expect, test } from 'vitest'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import { describeScope } from '../../../../../main/engine/recipes/describe-scope.ts'
import { listRecipes, loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { modelTarget } from '../../../../../main/engine/recipes/resolve-formats.ts'
import type { RecipeScope } from '../../../../../shared/domain/recipe-scope.ts'
import { openSample } from '../../../../tools/open-sample.ts'

/** 4 layers: three with linear attention, one with full attention. */
let model: MoeModel
beforeAll(async () => {
  model = (await openSample()).model
})

const LAYERS = 'model.language_model.layers.*'
const scopeOf = (name: string, text?: string): RecipeScope =>
  describeScope(loadRecipe(name, text), modelTarget(model))

test('a later pattern takes the last word, an earlier one keeps what is left', () => {
  const { entries } = scopeOf(
    'mine.yaml',
    `quant_cfg:
  - {quantizer_name: '*', enable: false}
  - {quantizer_name: '*self_attn*weight_quantizer', cfg: fp8}
  - {quantizer_name: '*self_attn*input_quantizer', cfg: fp8}
  - {quantizer_name: '*o_proj*', enable: false}
`,
  )
  expect(entries.map(({ pattern, isEnabled, numbers }) => [pattern, isEnabled, numbers])).toEqual([
    ['*', false, undefined],
    ['*self_attn*weight_quantizer', true, 'e4m3'],
    ['*self_attn*input_quantizer', true, 'e4m3'],
    ['*o_proj*', false, undefined],
  ])
  const o = `${LAYERS}.self_attn.o_proj`
  const about = (index: number): readonly unknown[] =>
    entries[index]?.matches.filter(({ modules }) => modules === o) ?? []
  expect(about(0)).toEqual([
    { modules: o, quantizer: 'weight', matched: 1, decided: 0 },
    { modules: o, quantizer: 'input', matched: 1, decided: 0 },
  ])
  expect(about(1)).toEqual([{ modules: o, quantizer: 'weight', matched: 1, decided: 0 }])
  expect(about(3)).toEqual([
    { modules: o, quantizer: 'weight', matched: 1, decided: 1 },
    { modules: o, quantizer: 'input', matched: 1, decided: 1 },
  ])
  const q = { modules: `${LAYERS}.self_attn.q_proj`, quantizer: 'weight' }
  expect(entries[1]?.matches).toContainEqual({ ...q, matched: 1, decided: 1 })
})

test('experts, KV cache and what is left alone are counted over layers', () => {
  const { entries, outcome } = scopeOf('nvfp4_experts_only-kv_fp8')
  const all = entries.flatMap(({ isEnabled, matches }) =>
    matches.filter(({ decided }) => decided > 0).map((match) => ({ isEnabled, ...match })),
  )
  const gateUp = { modules: `${LAYERS}.mlp.experts.gate_up_proj`, quantizer: 'weight' }
  expect(all).toContainEqual({ isEnabled: true, ...gateUp, matched: 4, decided: 4 })
  const keys = { modules: `${LAYERS}.self_attn`, quantizer: 'key' }
  expect(all).toContainEqual({ isEnabled: true, ...keys, matched: 1, decided: 1 })
  expect(outcome[0]).toEqual({ format: 'nvfp4', modules: `${LAYERS}.mlp.experts`, count: 4 })
  const conv = { format: 'unquantized', modules: `${LAYERS}.linear_attn.conv1d`, count: 3 }
  expect(outcome).toContainEqual(conv)
})

const CT = 'compressed-tensors'
const both = (minimum: number): readonly unknown[] => [
  ['modelopt', minimum, undefined],
  [CT, minimum, undefined],
]

test('the list says which part of a model a recipe is for, and for which GPUs', () => {
  const summaries = listRecipes()
  const of = (name: string): readonly unknown[] => {
    const found = summaries.find((summary) => summary.name === name)
    const gpus = found?.gpus.map(({ dialect, minimum, maximum }) => [dialect, minimum, maximum])
    return [found?.covers, gpus]
  }
  expect(of('nvfp4_experts_only-kv_fp8')).toEqual([['experts'], both(75)])
  expect(of('nvfp4_mlp_only-kv_fp8')).toEqual([['experts', 'shared_experts'], both(75)])
  expect(of('fp8_attention_only')).toEqual([['attention'], both(89)])
  expect(of('int4_blockwise_experts_only')).toEqual([['experts'], [[CT, 80, undefined]]])
  expect(of('w4a8_int4_fp8_experts_only')).toEqual([['experts'], [[CT, 90, 90]]])
  expect(of('w4a8_mxfp4_fp8')).toEqual([['experts', 'shared_experts', 'attention'], []])
  expect(of('nvfp4_default-kv_fp8')).toEqual([['experts', 'shared_experts', 'attention'], both(75)])
})
