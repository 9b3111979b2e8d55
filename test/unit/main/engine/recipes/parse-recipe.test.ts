/** Recipe texts. A wrong key or value that is ignored would quantize something else than the user asked for; the line must be right. */
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import { NUMERICS } from '../../../../../main/engine/recipes/numerics.ts'
import { parseRecipe } from '../../../../../main/engine/recipes/parse-recipe.ts'
import { summariseRecipe } from '../../../../../main/engine/recipes/summarise-recipe.ts'

const MODELOPT_STYLE = `
imports:
  base_disable_all: configs/ptq/units/base_disable_all
  exclusions: configs/ptq/units/default_disabled_quantizers
  four_bit: configs/numerics/nvfp4
metadata:
  recipe_type: ptq
  description: experts with a fixed input scale
quantize:
  algorithm: {method: max, skip_forward_without_activation_calib: true, layerwise: {enable: false}}
  quant_cfg:
    - $import: base_disable_all
    - quantizer_name: '*.experts.*weight_quantizer'
      cfg: {$import: four_bit}
    - quantizer_name: '*.experts.*input_quantizer'
      cfg:
        $import: four_bit
        constant_amax: 2688.0
    - quantizer_name: '*block_sparse_moe*weight_quantizer'
      cfg: {$import: four_bit}
    - $import: exclusions
`

function errorOf(text: string): AppError {
  try {
    parseRecipe('my.yaml', text)
  } catch (error: unknown) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

test("ModelOpt's recipe layout is read as it is", () => {
  const recipe = parseRecipe('my.yaml', MODELOPT_STYLE)
  expect(recipe.purpose).toBe('experts with a fixed input scale')
  expect(recipe.entries[2]?.cfg).toEqual({ ...NUMERICS.nvfp4, constantAmax: 2688 })
  expect(summariseRecipe(recipe)).toMatchObject({ formats: ['nvfp4'], needsData: false, kvCache: 'none' })
})

test('our own keys', () => {
  const recipe = parseRecipe(
    'my.yaml',
    `name: mine
purpose: for a test
kv_cache: nvfp4_cast
expert_input_scale: shared
fallback: layer_maximum
dialect: modelopt
calibration: {data: builtin, samples: 16, sequence_length: 256}
quantize:
  algorithm: none
  quant_cfg:
    - {quantizer_name: '*weight_quantizer', cfg: mxfp8}
    - {$import: default_disabled_quantizers}
`,
  )
  expect(recipe).toMatchObject({
    name: 'mine',
    purpose: 'for a test',
    method: 'none',
    expertInputScale: 'shared',
    dialect: 'modelopt',
    calibration: { data: 'builtin', samples: 16, sequenceLength: 256 },
  })
  expect(summariseRecipe(recipe)).toMatchObject({ formats: ['mxfp8'], kvCache: 'nvfp4_cast' })
})

test('a recipe without a name is named after its file, without the path', () => {
  expect(parseRecipe('/home/me/mine.yaml', 'quant_cfg: []').name).toBe('mine')
  expect(parseRecipe('C:\\recipes\\mine.YML', 'quant_cfg: []').name).toBe('mine')
})

test.each([
  ['fp8', '{num_bits: [4, 3], axis: null}'],
  ['fp8', '{num_bits: e4m3}'],
  ['fp8_per_channel', '{num_bits: [4, 3], axis: 0}'],
  ['fp8_per_token', '{num_bits: e4m3, type: dynamic}'],
  ['fp8_per_token', '{num_bits: e4m3, block_sizes: {-1: null, type: dynamic}}'],
  ['fp8_2d_blockwise', '{num_bits: e4m3, block_sizes: {-1: 128, -2: 128}}'],
  ['int8_per_channel', '{num_bits: 8, axis: 0}'],
  ['int4_per_block', '{num_bits: 4, block_sizes: {-1: 128, type: static}}'],
  ['nvfp4', '{num_bits: [2, 1], block_sizes: {-1: 16, type: dynamic, scale_bits: [4, 3]}}'],
  [
    'nvfp4_four_over_six',
    '{num_bits: e2m1, block_sizes: {-1: 16, type: static, scale_bits: e4m3, four_over_six: true}}',
  ],
  ['mxfp4', '{num_bits: e2m1, block_sizes: {"-1": 32, type: dynamic, scale_bits: [8, 0]}}'],
] as const)('%s spelt out as %s', (name, cfg) => {
  const text = `quant_cfg:\n  - {quantizer_name: '*', cfg: ${cfg}}\n`
  expect(parseRecipe('my.yaml', text).entries[0]?.cfg).toEqual(NUMERICS[name])
})

describe('what is wrong is named with line and key', () => {
  const cases: readonly (readonly [what: string, text: string, line: string, key: string])[] = [
    ['unknown top-level key', 'quantise: {}\n', 'line 1', 'quantise'],
    ['missing quant_cfg', 'name: x\n', 'line 1', 'quant_cfg'],
    ['unknown key of quantize', 'quantize:\n  quant_cfgs: []\n', 'line 2', 'quantize.quant_cfgs'],
    ['list expected', 'quantize:\n  quant_cfg: 3\n', 'line 2', 'quantize.quant_cfg'],
    ['no pattern', 'quantize:\n  quant_cfg:\n    - enable: false\n', 'line 3', 'quantize.quant_cfg[0]'],
    ['no effect', "quant_cfg:\n  - quantizer_name: '*'\n", 'line 2', 'quant_cfg[0]'],
    [
      'pattern is a number',
      'quant_cfg:\n  - {quantizer_name: 3, enable: false}\n',
      'line 2',
      'quant_cfg[0].quantizer_name',
    ],
    ['unknown numerics', "quant_cfg:\n  - {quantizer_name: '*', cfg: nvfp5}\n", 'line 2', 'quant_cfg[0].cfg'],
    ['unknown unit', 'quant_cfg:\n  - $import: everything\n', 'line 2', 'quant_cfg[0].$import'],
    [
      'unknown attribute',
      "quant_cfg:\n  - quantizer_name: '*'\n    cfg:\n      bits: 4\n",
      'line 4',
      'quant_cfg[0].cfg.bits',
    ],
    [
      'bad num_bits',
      "quant_cfg:\n  - quantizer_name: '*'\n    cfg:\n      num_bits: [4, 3, 2]\n",
      'line 4',
      'num_bits',
    ],
    [
      'bad block size',
      "quant_cfg:\n  - quantizer_name: '*'\n    cfg:\n      block_sizes: {-1: 0}\n",
      'line 4',
      'block_sizes.-1',
    ],
    [
      'NaN amax',
      "quant_cfg:\n  - quantizer_name: '*'\n    cfg:\n      constant_amax: .nan\n",
      'line 4',
      'constant_amax',
    ],
    [
      'enable is a text',
      "quant_cfg:\n  - {quantizer_name: '*', enable: 'no'}\n",
      'line 2',
      'quant_cfg[0].enable',
    ],
    ['unknown KV format', 'kv_cache: fp4\nquant_cfg: []\n', 'line 1', 'kv_cache'],
    [
      'a percentile above 100',
      'algorithm: {method: max, percentile: 101}\nquant_cfg: []\n',
      'line 1',
      'percentile',
    ],
    [
      'a percentile of nothing',
      'algorithm: {method: none, percentile: 99}\nquant_cfg: []\n',
      'line 1',
      'percentile',
    ],
    ['unknown algorithm', 'algorithm: awq_clip\nquant_cfg: []\n', 'line 1', 'algorithm'],
    [
      'exponent of another algorithm',
      'algorithm: {method: awq_lite, alpha: 0.5}\nquant_cfg: []\n',
      'line 1',
      'alpha',
    ],
    ['exponent above 1', 'algorithm: {method: smoothquant, alpha: 1.5}\nquant_cfg: []\n', 'line 1', 'alpha'],
    ['no step', 'algorithm: {method: awq_lite, alpha_step: 0}\nquant_cfg: []\n', 'line 1', 'alpha_step'],
    ['half a sample', 'calibration: {samples: 0.5}\nquant_cfg: []\n', 'line 1', 'calibration.samples'],
    ['key twice', 'quant_cfg: []\nname: a\nname: b\n', 'line 3', ''],
    ['not YAML', 'quant_cfg: [\n', 'line', ''],
    ['alias', 'name: &a x\npurpose: *a\nquant_cfg: []\n', 'line 2', ''],
    ['foreign tag', 'name: !!js/function "x"\nquant_cfg: []\n', 'line 1', ''],
    ['empty', '# nothing\n', '', 'empty'],
  ]
  test.each(cases)('%s', (_, text, line, key) => {
    const error = errorOf(text)
    expect(error.code).toBe('RECIPE_INVALID')
    expect(error.subject).toContain(`my.yaml${line === '' ? '' : ' '}${line}`)
    expect(error.problem).toContain(key)
  })
})

test.each([
  ['flow lists', '['.repeat(100_000)],
  ['flow maps', '{a: '.repeat(40_000)],
  ['sequences', '- '.repeat(90_000)],
  ['complex keys', '? '.repeat(90_000)],
  ['indentation', Array.from({ length: 600 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
  ['length', 'a'.repeat(300_000)],
])('hostile %s end in an error, not in a crash', (_, text) => {
  expect(errorOf(text).code).toBe('RECIPE_INVALID')
})

test.each([
  ['99.9', 99.9],
  ['100', undefined],
])('percentile %s of the algorithm', (written, percentile) => {
  const text = `algorithm: {method: max, percentile: ${written}}\nquant_cfg: []\n`
  expect(parseRecipe('my.yaml', text)).toMatchObject({ method: 'max' })
  expect(parseRecipe('my.yaml', text).percentile).toBe(percentile)
})
