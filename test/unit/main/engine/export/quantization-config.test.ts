/** Configuration texts beyond the reference exports: mixed formats, KV only, the hardened profile, and the untouched rest of config.json. */
import { beforeAll, describe, expect, test } from 'vitest'
import { parseJsonObject } from '../../../../../main/engine/formats/hf-config/lossless-json.ts'
import { indexText } from '../../../../../main/engine/export/index-file.ts'
import {
  configText,
  describeQuantization,
  hfQuantConfigText,
  quantizationConfig,
} from '../../../../../main/engine/export/quantization-config.ts'
import type { PlainObject } from '../../../../../main/engine/export/quant-algo.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import type { ExportProfile } from '../../../../../main/engine/quant/formats.ts'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { resolveFormats } from '../../../../../main/engine/recipes/resolve-formats.ts'
import { headerCheckpoint } from '../../../../tools/header-checkpoint.ts'

let model: MoeModel
beforeAll(() => {
  model = headerCheckpoint({ numbers: { expertCount: 4, topK: 2 } }).model
})

function describeBy(recipe: string, profile: ExportProfile, text?: string): PlainObject | undefined {
  return describeQuantization({ model, profile, ...resolveFormats(loadRecipe(recipe, text), model) })
}

function configBy(recipe: string, profile: ExportProfile, text?: string): PlainObject {
  return quantizationConfig(describeBy(recipe, profile, text) ?? {}, profile)
}

describe('mixed precision', () => {
  test('NVFP4 experts and FP8 elsewhere: groups by first appearance, sorted targets, whole experts as one entry', () => {
    const config = configBy('qwen3_5_moe-nvfp4_experts_mse-fp8_rest-kv_fp8', 'identical')
    const groups = config['config_groups'] as Record<string, { targets: string[] }>
    const fp8 = { dynamic: false, num_bits: 8, type: 'float' }
    const nvfp4 = { dynamic: false, num_bits: 4, type: 'float', group_size: 16 }
    expect(groups['group_0']).toMatchObject({ input_activations: fp8, weights: fp8 })
    expect(groups['group_1']).toEqual({
      input_activations: nvfp4,
      weights: nvfp4,
      targets: [0, 1, 2, 3].map((layer) => `model.language_model.layers.${String(layer)}.mlp.experts`),
    })
    expect(groups['group_0']?.targets).toEqual([...(groups['group_0']?.targets ?? [])].sort())
    expect(Object.keys(config)).toEqual([
      'config_groups',
      'quantized_layers',
      'ignore',
      'quant_algo',
      'kv_cache_scheme',
      'producer',
      'quant_method',
    ])
    expect(config['ignore']).toEqual(['mtp*', 'mtp.layers.0*'])
  })

  test('two block sizes of one format are mixed, static and dynamic scales are not', () => {
    const entries = (second: string): string => `quant_cfg:
  - {quantizer_name: '*weight_quantizer', cfg: nvfp4}
  - {quantizer_name: '*o_proj.weight_quantizer', cfg: ${second}}
  - {$import: default_disabled_quantizers}
`
    expect(describeBy('a.yaml', 'identical', entries('nvfp4_bs32'))?.['quant_algo']).toBe('MIXED_PRECISION')
    expect(describeBy('a.yaml', 'identical', entries('nvfp4_static'))?.['quant_algo']).toBe('W4A16_NVFP4')
  })
})

test('KV cache only', () => {
  const text = "quant_cfg: [{quantizer_name: '*', enable: false}]\nkv_cache: fp8\n"
  expect(describeBy('a.yaml', 'identical', text)).toMatchObject({
    quant_algo: null,
    kv_cache_quant_algo: 'FP8',
  })
  expect(describeBy('a.yaml', 'identical', text.replace('fp8', 'none'))).toBeUndefined()
})

test('an NVFP4 KV cache is a plain string in config.json', () => {
  expect(configBy('nvfp4_default-kv_nvfp4_cast', 'identical')['kv_cache_scheme']).toBe('NVFP4')
})

test('INT4 says that no channels were rescaled', () => {
  expect(describeBy('int4_blockwise_weight_only', 'identical')).toMatchObject({
    quant_algo: 'W4A16_AWQ',
    group_size: 128,
    has_zero_point: false,
    pre_quant_scale: false,
  })
})

describe('hardened profile', () => {
  test('group_size is repeated where vLLM looks for it', () => {
    expect(configBy('nvfp4_mlp_weight_only', 'hardened')['group_size']).toBe(32)
    expect(configBy('nvfp4_mlp_weight_only', 'identical')).not.toHaveProperty('group_size')
    expect(configBy('fp8', 'hardened')).not.toHaveProperty('group_size')
  })

  test('both files list the same modules, the MTP projection among them', () => {
    const quantization = describeBy('nvfp4_experts_only-kv_fp8', 'hardened')
    const ignore = configBy('nvfp4_experts_only-kv_fp8', 'hardened')['ignore']
    expect(quantization?.['exclude_modules']).toEqual(ignore)
    expect(ignore).toContain('mtp.fc')
  })
})

test('config.json keeps order, number texts and unknown keys, and replaces an old quantization_config', () => {
  const source =
    '{"b": 1e-06, "quantization_config": {"old": 1}, "a": {"x": 10000000, "y": 0.0}, "name": "Größe\\u2028"}'
  const config = parseJsonObject(new TextEncoder().encode(source), 'config.json')
  expect(configText(config, { quant_algo: 'FP8', ignore: [] })).toBe(
    `{
    "b": 1e-06,
    "a": {
        "x": 10000000,
        "y": 0.0
    },
    "name": "Gr\\u00f6\\u00dfe\\u2028",
    "quantization_config": {
        "quant_algo": "FP8",
        "ignore": []
    }
}`,
  )
  expect(configText(config, undefined)).not.toContain('quantization_config')
})

test('hf_quant_config.json has indent 4 and no final newline', () => {
  expect(
    hfQuantConfigText({ quant_algo: 'FP8', kv_cache_quant_algo: null, exclude_modules: ['lm_head'] }),
  ).toBe(
    `{
    "producer": {
        "name": "modelopt",
        "version": "0.47.0"
    },
    "quantization": {
        "quant_algo": "FP8",
        "kv_cache_quant_algo": null,
        "exclude_modules": [
            "lm_head"
        ]
    }
}`,
  )
})

test('the index sorts by code point and ends with a newline', () => {
  const names = ['b', 'layers.10.w', 'layers.2.w', 'é', 'B']
  const text = indexText(
    names.map((name) => ({ name, fileName: 'model-00001-of-00002.safetensors' })),
    { parameterCount: 5, sizeBytes: 10 },
  )
  expect(text.endsWith('  }\n}\n')).toBe(true)
  expect(text).toContain('"\\u00e9"')
  const index = JSON.parse(text) as { metadata: unknown; weight_map: Record<string, string> }
  expect(Object.keys(index.weight_map)).toEqual(['B', 'b', 'layers.10.w', 'layers.2.w', 'é'])
  expect(
    text.startsWith('{\n  "metadata": {\n    "total_parameters": 5,\n    "total_size": 10\n  },\n'),
  ).toBe(true)
})
