/** Names of recipes. A name of the reference that is refused, or a misspelt one that is quietly taken for another, would fail here. */
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { listRecipes, loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { recipeText } from '../../../../../main/engine/recipes/recipe-text.ts'
import { summariseRecipe } from '../../../../../main/engine/recipes/summarise-recipe.ts'

// name, format of q_proj, format of the experts, KV cache, needs data
const EXPECTED: readonly (readonly [string, readonly string[], string, boolean])[] = [
  ['fp8', ['fp8'], 'none', true],
  ['fp8_default-kv_fp8', ['fp8'], 'fp8', true],
  ['fp8-kv_nvfp4_cast', ['fp8'], 'nvfp4_cast', true],
  ['general/ptq/fp8_default-kv_fp8_cast', ['fp8'], 'fp8_cast', true],
  ['fp8_per_channel_per_token', ['fp8_pc_pt'], 'none', false],
  ['fp8_2d_blockwise_weight_only', ['fp8_pb_wo'], 'none', false],
  ['fp8_attention_only', ['fp8'], 'none', true],
  ['int8', ['int8_sq'], 'none', true],
  ['int8_weight_only', ['int8_wo'], 'none', false],
  ['int4_blockwise_weight_only', ['int4_awq'], 'none', false],
  ['nvfp4', ['nvfp4'], 'none', true],
  ['nvfp4_default-kv_nvfp4', ['nvfp4'], 'nvfp4', true],
  ['nvfp4_experts_only_input_scale1-kv_fp8_cast', ['nvfp4'], 'fp8_cast', false],
  ['nvfp4_experts_only_mse-kv_fp8_cast', ['nvfp4_static'], 'fp8_cast', true],
  ['nvfp4_four_over_six', ['nvfp4_static'], 'none', true],
  ['nvfp4_w4a4_weight_mse_fp8_sweep', ['nvfp4_static'], 'none', true],
  ['nvfp4_weight_only-kv_fp16', ['w4a16_nvfp4'], 'none', false],
  ['w4a16_nvfp4-kv_fp8', ['w4a16_nvfp4'], 'fp8', true],
  ['nvfp4_mlp_only-novit-kv_fp8', ['nvfp4'], 'fp8', true],
  ['w4a8_nvfp4_fp8', ['w4a8_nvfp4_fp8'], 'none', true],
  ['mxfp8-kv_fp8_cast', ['mxfp8'], 'fp8_cast', false],
  ['mxfp4_mlp_weight_only', ['mxfp4'], 'none', false],
  ['w4a8_mxfp4_fp8', ['w4a8_mxfp4_fp8'], 'none', false],
  ['qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast', ['fp8', 'w4a16_nvfp4'], 'fp8_cast', true],
  ['w4a16_nvfp4_mse-fp8_attn-kv_fp8_cast', ['fp8', 'w4a16_nvfp4_static'], 'fp8_cast', true],
  ['nvfp4_experts_mse-fp8_rest-kv_fp8', ['fp8', 'nvfp4_static'], 'fp8', true],
  ['huggingface/qwen3_5_moe/ptq/nvfp4_experts_mse-fp8_rest-kv_fp8', ['fp8', 'nvfp4_static'], 'fp8', true],
]

function errorOf(name: string | undefined): AppError {
  try {
    loadRecipe(name)
  } catch (error: unknown) {
    if (error instanceof AppError) return error
  }
  throw new Error('no AppError was thrown')
}

test.each(EXPECTED)('%s gives %j, KV %s, needs data: %s', (name, formats, kvCache, needsData) => {
  expect(summariseRecipe(loadRecipe(name))).toMatchObject({ formats, kvCache, needsData })
})

test('bits per weight count block scales', () => {
  const bits = Object.fromEntries(listRecipes().map(({ name, bitsPerWeight }) => [name, bitsPerWeight]))
  expect(bits).toMatchObject({ nvfp4: 4.5, nvfp4_mlp_weight_only: 4.25, mxfp8: 8.25, fp8: 8, mxfp4: 4.25 })
})

describe('names that are not recipes', () => {
  test('a misspelt name lists the closest ones', () => {
    const error = errorOf('nvfp4_expert_only-kv_fp8')
    expect(error.code).toBe('RECIPE_UNKNOWN')
    expect(error.remedy).toContain('nvfp4_experts_only-kv_fp8')
  })

  test.each(['nvfp4-kv_int8', 'nvfp4-kv_', '__proto__', 'constructor', 'x'.repeat(10_000), ''])(
    '%s is unknown',
    (name) => {
      expect(errorOf(name).code).toBe('RECIPE_UNKNOWN')
    },
  )

  test.each(['nvfp4_awq_full', 'mxfp6', 'w4a8_awq_beta-kv_fp8'])('%s is known but not written', (name) => {
    expect(errorOf(name).code).toBe('FORMAT_UNSUPPORTED')
  })
})

test.each(listRecipes().map(({ name }) => name))('the text of %s loads to the same recipe', (name) => {
  const recipe = loadRecipe(name)
  const again = loadRecipe(undefined, recipeText(recipe))
  const entries = again.entries.map((entry) => ({ ...entry, place: undefined }))
  expect({ ...again, entries, sourceText: undefined }).toEqual(recipe)
})
