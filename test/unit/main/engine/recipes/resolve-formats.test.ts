/** Which module gets which format. An entry applied out of order, or a fused group that is silently mixed, would export a broken model. */
import { beforeAll, describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { resolveFormats } from '../../../../../main/engine/recipes/resolve-formats.ts'
import { headerCheckpoint } from '../../../../tools/header-checkpoint.ts'

const LAYER = 'model.language_model.layers'
let model: MoeModel

beforeAll(() => {
  model = headerCheckpoint().model
})

/** Recipe text from entries; the default exclusions come last unless they are given. */
function recipe(
  entries: readonly string[],
  rest = '',
  exclusions = '  - $import: default_disabled_quantizers\n',
): ReturnType<typeof loadRecipe> {
  return loadRecipe(
    'my.yaml',
    `${rest}quant_cfg:\n${entries.map((entry) => `  - ${entry}\n`).join('')}${exclusions}`,
  )
}

function formatOf(entries: readonly string[], module: string, rest = ''): string | undefined {
  return resolveFormats(recipe(entries, rest), model).formats.get(module)?.format
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error: unknown) {
    if (error instanceof AppError) return error.code
    throw error
  }
  return 'none'
}

const FP8 = [
  "{quantizer_name: '*weight_quantizer', cfg: fp8}",
  "{quantizer_name: '*input_quantizer', cfg: fp8}",
]

describe('order of entries', () => {
  test('the last cfg that matches decides', () => {
    const entries = [
      ...FP8,
      "{quantizer_name: '*out_proj.weight_quantizer', cfg: nvfp4}",
      "{quantizer_name: '*out_proj.input_quantizer', cfg: nvfp4}",
    ]
    expect(formatOf(entries, `${LAYER}.0.linear_attn.out_proj`)).toBe('nvfp4')
    expect(formatOf(entries, `${LAYER}.0.linear_attn.in_proj_z`)).toBe('fp8')
  })

  test('switching off and on again keeps the cfg', () => {
    const entries = [...FP8, "{quantizer_name: '*o_proj*', enable: false}"]
    expect(formatOf(entries, `${LAYER}.3.self_attn.o_proj`)).toBeUndefined()
    expect(
      formatOf([...entries, "{quantizer_name: '*o_proj*', enable: true}"], `${LAYER}.3.self_attn.o_proj`),
    ).toBe('fp8')
  })

  test('a cfg switches on by itself and replaces every attribute', () => {
    const entries = [
      "{quantizer_name: '*weight_quantizer', cfg: nvfp4}",
      "{quantizer_name: '*', enable: false}",
      "{quantizer_name: '*o_proj.weight_quantizer', cfg: {num_bits: 8, axis: 0}}",
    ]
    expect(formatOf(entries, `${LAYER}.3.self_attn.o_proj`)).toBe('int8_wo')
  })

  test('enabled without ever getting a cfg is refused', () => {
    expect(codeOf(() => formatOf(["{quantizer_name: '*o_proj.weight_quantizer', enable: true}"], ''))).toBe(
      'RECIPE_INVALID',
    )
  })

  test('switching outputs off is not a pattern without a match', () => {
    const entries = [...FP8, "{quantizer_name: '*output_quantizer', enable: false}"]
    expect(formatOf(entries, `${LAYER}.3.self_attn.o_proj`)).toBe('fp8')
  })

  test('parent_class restricts an entry', () => {
    const entries = [
      "{quantizer_name: '*weight_quantizer', cfg: nvfp4}",
      "{quantizer_name: '*', parent_class: nn.Linear, enable: false}",
    ]
    expect(
      [...resolveFormats(recipe(entries), model).formats.keys()].every((name) => name.endsWith('.experts')),
    ).toBe(true)
  })
})

describe('experts', () => {
  test.each(['*.experts.*weight_quantizer', '*gate_up_proj_weight_quantizer', '*weight_quantizers.*'])(
    'numbered weight quantizers also match as %s',
    (pattern) => {
      const down = "{quantizer_name: '*experts.down_proj_weight_quantizer', cfg: mxfp4}"
      expect(formatOf([`{quantizer_name: '${pattern}', cfg: mxfp4}`, down], `${LAYER}.1.mlp.experts`)).toBe(
        'mxfp4',
      )
    },
  )

  test('one expert cannot be different', () => {
    const entries = [
      "{quantizer_name: '*.experts.*weight_quantizer', cfg: mxfp4}",
      "{quantizer_name: '*experts.*weight_quantizers.17', enable: false}",
    ]
    expect(codeOf(() => formatOf(entries, ''))).toBe('RECIPE_GROUP_MIXED')
  })

  test('gate/up and down cannot differ', () => {
    expect(
      codeOf(() => formatOf(["{quantizer_name: '*experts.down_proj_weight_quantizer', cfg: mxfp4}"], '')),
    ).toBe('RECIPE_GROUP_MIXED')
  })

  test('experts of one layer can have another format than those of the next', () => {
    const entries = [
      "{quantizer_name: '*.experts.*weight_quantizer', cfg: mxfp4}",
      "{quantizer_name: '*layers.1.mlp.experts.*weight_quantizer', cfg: mxfp8}",
    ]
    expect(formatOf(entries, `${LAYER}.1.mlp.experts`)).toBe('mxfp8')
    expect(formatOf(entries, `${LAYER}.2.mlp.experts`)).toBe('mxfp4')
  })
})

describe('what cannot be', () => {
  test.each([
    ['q alone', "{quantizer_name: '*q_proj.weight_quantizer', cfg: mxfp8}"],
    ['qkv without z', "{quantizer_name: '*in_proj_qkv.weight_quantizer', cfg: mxfp8}"],
    ['shared gate without up', "{quantizer_name: '*shared_expert.gate_proj.weight_quantizer', cfg: mxfp8}"],
    ['keys without values', "{quantizer_name: '*k_bmm_quantizer', cfg: fp8}"],
  ])('%s is a mixed group', (_, entry) => {
    expect(codeOf(() => formatOf([entry], ''))).toBe('RECIPE_GROUP_MIXED')
  })

  test('a pattern that matches nothing is named with its line', () => {
    const text = "quant_cfg:\n  - {quantizer_name: '*o_prj*weight_quantizer', cfg: fp8}\n"
    const run = (): unknown => resolveFormats(loadRecipe('my.yaml', text), model)
    expect(codeOf(run)).toBe('RECIPE_PATTERN_UNMATCHED')
    expect(run).toThrow('my.yaml line 2')
  })

  test('patterns about modules of other families may match nothing', () => {
    const entries = [
      ...FP8,
      "{quantizer_name: '*block_sparse_moe*weight_quantizer', cfg: fp8}",
      "{quantizer_name: '*mtp*', enable: false}",
    ]
    expect(codeOf(() => formatOf(entries, ''))).toBe('none')
  })

  test.each([
    ['convolution', "{quantizer_name: '*conv1d.weight_quantizer', cfg: mxfp8}"],
    ['embedding', "{quantizer_name: '*embed_tokens.weight_quantizer', cfg: mxfp8}"],
    ['inputs alone', "{quantizer_name: '*o_proj.input_quantizer', cfg: fp8}"],
    [
      'FP6',
      "{quantizer_name: '*o_proj.weight_quantizer', cfg: {num_bits: e3m2, block_sizes: {-1: 32, type: dynamic, scale_bits: e8m0}}}",
    ],
    [
      'INT8 blocks',
      "{quantizer_name: '*o_proj.weight_quantizer', cfg: {num_bits: 8, block_sizes: {-1: 32, type: dynamic, scale_bits: e8m0}}}",
    ],
    [
      'four over six without a search',
      "{quantizer_name: '*o_proj.weight_quantizer', cfg: nvfp4_four_over_six}",
    ],
    ['INT8 KV cache', "{quantizer_name: '*[kv]_bmm_quantizer', cfg: int8}"],
  ])('%s is not written', (_, entry) => {
    expect(codeOf(() => resolveFormats(recipe([entry], '', ''), model))).toBe('FORMAT_UNSUPPORTED')
  })
})

describe('formats and input scales', () => {
  const weight = (cfg: string): string => `{quantizer_name: '*o_proj.weight_quantizer', cfg: ${cfg}}`
  const input = (cfg: string): string => `{quantizer_name: '*o_proj.input_quantizer', cfg: ${cfg}}`
  const resolved = (entries: readonly string[], rest = ''): unknown =>
    resolveFormats(recipe(entries, rest), model).formats.get(`${LAYER}.3.self_attn.o_proj`)

  test.each([
    [[weight('fp8'), input('fp8')], 'fp8', undefined, 448],
    [[weight('fp8')], 'fp8', undefined, undefined],
    [[weight('fp8_per_channel'), input('fp8_per_token')], 'fp8_pc_pt', undefined, undefined],
    [[weight('int8_per_channel'), input('int8')], 'int8_sq', undefined, 127],
    [[weight('nvfp4'), input('nvfp4')], 'nvfp4', 16, 2688],
    [[weight('int4_per_block')], 'int4_awq', 128, undefined],
    [[weight('int4_per_block'), input('fp8_per_token')], 'w4a8_int4_fp8', 128, undefined],
    [[weight('nvfp4_bs32'), input('fp8')], 'w4a8_nvfp4_fp8', 32, 448],
    [[weight('nvfp4_bs32')], 'w4a16_nvfp4', 32, undefined],
    [[weight('mxfp8'), input('mxfp8')], 'mxfp8', 32, undefined],
    [[weight('mxfp4'), input('mxfp4')], 'mxfp4', 32, undefined],
    [[weight('mxfp4'), input('fp8')], 'w4a8_mxfp4_fp8', 32, 448],
  ] as const)('%j', (entries, format, blockSize, divisor) => {
    const inputScale = divisor === undefined ? undefined : { kind: 'calibrated', divisor }
    // Inputs quantized at inference store nothing; only compressed-tensors declares them.
    const dynamic = entries.length > 1 && divisor === undefined ? { hasDynamicInput: true } : {}
    expect(resolved(entries)).toEqual({ format, blockSize, inputScale, ...dynamic })
  })

  test('the algorithm none collects no input scales', () => {
    expect(resolved([weight('mxfp4'), input('fp8')], 'algorithm: none\n')).toMatchObject({
      inputScale: undefined,
    })
  })

  test('a constant maximum is stored, a run-time constant is not', () => {
    const constant = resolved([weight('nvfp4'), input('{$import: nvfp4, constant_amax: 5376}')])
    expect(constant).toMatchObject({ inputScale: { kind: 'constant', amax: 5376, divisor: 2688 } })
    const cast = resolved([weight('fp8'), input('{$import: fp8, use_constant_amax: true}')])
    expect(cast).toMatchObject({ format: 'fp8', inputScale: undefined })
  })

  test('searches', () => {
    const mse = 'algorithm: {method: mse, fp8_scale_sweep: true}\n'
    expect(resolved([weight('nvfp4_static')], mse)).toMatchObject({
      format: 'w4a16_nvfp4_static',
      search: 'mse',
    })
    expect(resolved([weight('nvfp4_four_over_six'), input('nvfp4')], 'algorithm: mse\n')).toMatchObject({
      format: 'nvfp4_static',
      search: 'four_over_six',
    })
    expect(resolved([weight('nvfp4_static')])).not.toHaveProperty('search')
  })
})

describe('overrides', () => {
  const builtin = loadRecipe('nvfp4_experts_only-kv_fp8')

  test.each([
    [{}, 'fp8', 'per_expert'],
    [{ kv: 'none' }, 'none', 'per_expert'],
    [{ kv: 'nvfp4_cast', profile: 'identical' }, 'nvfp4_cast', 'shared'],
    [{ profile: 'identical', expertInputScale: 'per_expert' }, 'fp8', 'per_expert'],
  ] as const)('%j', (overrides, kvCache, expertInputScale) => {
    expect(resolveFormats(builtin, model, overrides)).toMatchObject({ kvCache, expertInputScale })
  })

  test('the recipe can ask for a shared expert input scale', () => {
    expect(resolveFormats({ ...builtin, expertInputScale: 'shared' }, model).expertInputScale).toBe('shared')
  })
})
