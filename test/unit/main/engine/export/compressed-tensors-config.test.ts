/** Configuration of the dialect: a target that matches too little leaves packed bytes to be read as BF16, one that matches too much fails. */
import { describe, expect, test } from 'vitest'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import type { ExportPlan } from '../../../../../main/engine/pipeline/export-plan.ts'
import { planExport } from '../../../../../main/engine/pipeline/plan-export.ts'
import { openSample } from '../../../../tools/open-sample.ts'

interface Group {
  readonly targets: readonly string[]
  readonly format: string
  readonly weights: Record<string, unknown>
  readonly input_activations: Record<string, unknown> | null
}

interface Config {
  readonly config_groups: Record<string, Group>
  readonly format: string
  readonly ignore: readonly string[]
  readonly kv_cache_scheme: Record<string, unknown> | null
  readonly quant_method: string
  readonly quantization_status: string
}

async function plan(recipe: string): Promise<ExportPlan> {
  return planExport({
    ...(await openSample()),
    recipe: loadRecipe(recipe),
    profile: 'hardened',
    dialect: 'compressed-tensors',
    maxShardSizeBytes: 1e10,
  })
}

function configOf({ textFiles }: ExportPlan): Config {
  const text = textFiles.find(({ fileName }) => fileName === 'config.json')?.text ?? ''
  return (JSON.parse(text) as { quantization_config: Config }).quantization_config
}

const matches = (entries: readonly string[], name: string): boolean =>
  entries.some((entry) =>
    entry.startsWith('re:') ? new RegExp(`^(?:${entry.slice(3)})`).test(name) : entry === name,
  )

describe('compressed-tensors configuration', () => {
  test('one format: class target, exact names and patterns to ignore, KV scheme, no second file', async () => {
    const planned = await plan('nvfp4_experts_only-kv_fp8')
    const config = configOf(planned)
    expect(planned.textFiles.map(({ fileName }) => fileName)).toEqual(['config.json'])
    expect(config).toMatchObject({
      format: 'nvfp4-pack-quantized',
      quant_method: 'compressed-tensors',
      quantization_status: 'compressed',
      global_compression_ratio: null,
      kv_cache_scheme: { num_bits: 8, type: 'float', strategy: 'tensor', symmetric: true, dynamic: false },
    })
    expect(Object.keys(config.config_groups)).toEqual(['group_0'])
    expect(config.config_groups['group_0']).toMatchObject({
      targets: ['Linear'],
      format: 'nvfp4-pack-quantized',
      output_activations: null,
      weights: {
        num_bits: 4,
        type: 'float',
        strategy: 'tensor_group',
        group_size: 16,
        symmetric: true,
        dynamic: false,
      },
      input_activations: { num_bits: 4, strategy: 'tensor_group', group_size: 16, dynamic: 'local' },
    })
    expect(config.ignore).toEqual(
      expect.arrayContaining([
        'lm_head',
        'model.language_model.layers.0.mlp.gate',
        'model.language_model.layers.0.mlp.shared_expert_gate',
        'model.language_model.layers.0.linear_attn.conv1d',
        'model.language_model.layers.3.self_attn.q_proj',
        're:.*visual.*',
        're:.*mtp.*',
      ]),
    )
    expect(matches(config.ignore, 'model.language_model.layers.0.mlp.experts.0.gate_proj')).toBe(false)
    expect(matches(config.ignore, 'mtp.layers.0.mlp.experts.0.gate_proj')).toBe(true)
  })

  test('mixed formats: every matrix is matched by exactly one group or ignored', async () => {
    const planned = await plan('qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast')
    const config = configOf(planned)
    expect(config.format).toBe('mixed-precision')
    const groups = Object.values(config.config_groups)
    expect(groups.map(({ format }) => format).sort()).toEqual(['float-quantized', 'nvfp4-pack-quantized'])
    expect(groups.every(({ targets }) => targets.every((target) => target.startsWith('re:')))).toBe(true)
    const formats = new Map<string, string>()
    for (const task of planned.tasks) {
      if (task.kind === 'quantize')
        for (const { module } of task.members) formats.set(module, task.format.format)
      else if (task.output.shape.length === 2 && task.output.name.endsWith('proj.weight'))
        formats.set(task.output.name.replace(/\.weight$/, ''), 'none')
    }
    expect(formats.size).toBeGreaterThan(400)
    for (const [module, format] of formats) {
      const found = groups.filter(({ targets }) => matches(targets, module)).map((group) => group.format)
      const isIgnored = matches(config.ignore, module)
      if (format === 'none') expect([module, isIgnored]).toEqual([module, true])
      else {
        const expected = format === 'fp8' ? 'float-quantized' : 'nvfp4-pack-quantized'
        expect([module, found, isIgnored]).toEqual([module, [expected], false])
      }
    }
  })

  test('experts that stay as they are are ignored one by one through a pattern', async () => {
    const config = configOf(await plan('fp8_attention_only'))
    expect(matches(config.ignore, 'model.language_model.layers.2.mlp.experts.31.down_proj')).toBe(true)
    expect(matches(config.ignore, 'model.language_model.layers.3.self_attn.o_proj')).toBe(false)
  })

  test.each([
    ['mxfp4', 'mxfp4-pack-quantized', true],
    ['mxfp4_mlp_weight_only', 'mxfp4-pack-quantized', null],
    ['mxfp8', 'mxfp8-quantized', true],
    ['fp8_per_channel_per_token', 'float-quantized', true],
    ['fp8_2d_blockwise_weight_only', 'float-quantized', true],
    ['int8', 'int-quantized', true],
    ['int8_weight_only', 'pack-quantized', null],
    ['int4_blockwise_weight_only', 'pack-quantized', null],
    ['fp8', 'float-quantized', false],
  ] as const)('%s: %s, inputs dynamic: %s', async (recipe, format, dynamic) => {
    const group = configOf(await plan(recipe)).config_groups['group_0']
    expect(group?.format).toBe(format)
    expect(group?.input_activations?.['dynamic'] ?? null).toBe(dynamic)
  })

  test('the INT4 recipe goes to this dialect by itself', async () => {
    const opened = await openSample()
    const recipe = loadRecipe('int4_blockwise_weight_only')
    expect(planExport({ ...opened, recipe, profile: 'hardened', maxShardSizeBytes: 1e10 }).dialect).toBe(
      'compressed-tensors',
    )
  })
})
