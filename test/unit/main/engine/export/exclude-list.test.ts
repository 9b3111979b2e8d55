/**
 * Exclude lists. One pattern too broad makes an engine read packed bytes as BF16, one too few makes it look for scales that do not exist.
 * Expected lists and counts are those of reference exports (4 layers) and of an independent implementation of the published rule.
 */
import { describe, expect, test } from 'vitest'
import {
  excludeModules,
  hardenedExcludeModules,
  summariseExcluded,
} from '../../../../../main/engine/export/exclude-list.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import { compilePattern } from '../../../../../main/engine/recipes/fnmatch.ts'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { resolveFormats } from '../../../../../main/engine/recipes/resolve-formats.ts'
import { headerCheckpoint } from '../../../../tools/header-checkpoint.ts'

const L = 'model.language_model.layers'

const FULL_AND_LINEAR_ATTENTION = `quant_cfg:
  - {quantizer_name: '*self_attn*weight_quantizer', cfg: mxfp8}
  - {quantizer_name: '*linear_attn*weight_quantizer', cfg: mxfp8}
  - {$import: default_disabled_quantizers}
`

function quantizedBy(model: MoeModel, recipe: string, text?: string): ReadonlySet<string> {
  return new Set(resolveFormats(loadRecipe(recipe, text), model).formats.keys())
}

function modelWith(layerCount: number): MoeModel {
  return headerCheckpoint({ numbers: { layerCount, expertCount: 4, topK: 2 }, mtpLayout: 'none' }).model
}

describe.each([
  [4, 20, 19, 15, 16, 7],
  [40, 173, 163, 123, 133, 43],
  [48, 207, 195, 147, 159, 51],
  [60, 258, 243, 183, 198, 63],
])('%d layers', (layerCount, all, experts, mlp, attention, selfAttention) => {
  const model = modelWith(layerCount)
  test.each([
    ['nvfp4', undefined, all],
    ['nvfp4_experts_only', undefined, experts],
    ['nvfp4_mlp_only', undefined, mlp],
    ['attention.yaml', FULL_AND_LINEAR_ATTENTION, attention],
    ['fp8_attention_only', undefined, selfAttention],
  ])('%s', (recipe, text, count) => {
    expect(excludeModules(model, quantizedBy(model, recipe, text))).toHaveLength(count)
  })
})

test('all linears of a 4-layer model', () => {
  const { model } = headerCheckpoint()
  const layer = (index: number): readonly string[] =>
    [
      'linear_attn.conv1d',
      'linear_attn.in_proj_a',
      'linear_attn.in_proj_b',
      'mlp.gate',
      'mlp.shared_expert_gate',
    ].map((name) => `${L}.${String(index)}.${name}`)
  expect(excludeModules(model, quantizedBy(model, 'nvfp4'))).toEqual([
    'lm_head',
    'model.language_model.embed_tokens',
    ...layer(0),
    ...layer(1),
    ...layer(2),
    `${L}.3.mlp.gate`,
    `${L}.3.mlp.shared_expert_gate`,
    'model.visual*',
    'mtp*',
    'mtp.layers.0*',
  ])
})

test('a layer whose number begins another layer number needs the dotted form', () => {
  const model = modelWith(40)
  const list = excludeModules(model, quantizedBy(model, 'fp8_attention_only'))
  expect(list.slice(2, 7)).toEqual([`${L}.0*`, `${L}.1.*`, `${L}.10*`, `${L}.11.mlp*`, `${L}.12*`])
})

describe('summariseExcluded', () => {
  test.each([
    [[], ['a.b', 'lm_head'], ['a*', 'lm_head']],
    [['a.b'], ['a.b'], []],
    [['a.b.c'], ['a.b.d', 'a.e'], ['a.b.d', 'a.e']],
    [['a.x1.w'], ['a.x.w'], ['a.x.*']],
    [['a.x.w', 'a.x'], ['a.x.v'], ['a.x.v']],
    [['b'], [], []],
  ])('quantized %j, unquantized %j', (quantized, unquantized, expected) => {
    expect(summariseExcluded(quantized, unquantized)).toEqual(expected)
  })
})

describe.each(['nvfp4', 'nvfp4_experts_only', 'nvfp4_omlp_only', 'fp8_attention_only'])(
  'hardened, %s',
  (recipe) => {
    const { model } = headerCheckpoint({ numbers: { layerCount: 12, expertCount: 4, topK: 2 } })
    const quantized = quantizedBy(model, recipe)
    const list = hardenedExcludeModules(model, quantized)

    test('holds the short list, every unquantized module and the MTP projection', () => {
      const unquantized = model.modules.map(({ name }) => name).filter((name) => !quantized.has(name))
      expect(list).toEqual(
        expect.arrayContaining([...excludeModules(model, quantized), ...unquantized, 'mtp.fc']),
      )
      expect(new Set(list).size).toBe(list.length)
    })

    test('no entry reaches a quantized module by wildcard or as part of its name', () => {
      for (const entry of list) {
        const pattern = compilePattern(entry)
        const hit = [...quantized].find((name) => pattern.matches(name) || name.includes(entry))
        expect(hit, entry).toBeUndefined()
      }
    })
  },
)

test('hardened names parents and fused projections that stay unquantized', () => {
  const { model } = headerCheckpoint()
  const list = hardenedExcludeModules(model, quantizedBy(model, 'nvfp4_experts_only'))
  expect(list).toEqual(
    expect.arrayContaining([
      `${L}.3.self_attn`,
      `${L}.3.self_attn.qkv_proj`,
      `${L}.0.linear_attn.in_proj_qkvz`,
      `${L}.0.linear_attn.in_proj_ba`,
      `${L}.0.mlp.shared_expert.gate_up_proj`,
    ]),
  )
  expect(hardenedExcludeModules(model, quantizedBy(model, 'nvfp4_omlp_only'))).not.toContain(
    `${L}.3.self_attn`,
  )
})
