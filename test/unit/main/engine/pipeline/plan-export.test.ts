/** Plans beyond the reference exports: profiles, missing statistics, grouping of work, and what is refused before a byte is read. */
import { describe, expect, test } from 'vitest'
import { AppError } from '../../../../../shared/errors/app-error.ts'
import type {
  ExportPlan,
  ExportTask,
  PlannedActivationScale,
} from '../../../../../main/engine/pipeline/export-plan.ts'
import { planExport, type PlanInput } from '../../../../../main/engine/pipeline/plan-export.ts'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { headerCheckpoint, type HeaderLayout } from '../../../../tools/header-checkpoint.ts'

const L = 'model.language_model.layers'
const SMALL = { expertCount: 3, topK: 2 }

type Options = Partial<Omit<PlanInput, 'recipe'>> & { readonly layout?: HeaderLayout; readonly text?: string }

function plan(recipe: string, { layout = {}, text, ...options }: Options = {}): ExportPlan {
  const opened = headerCheckpoint({ ...layout, numbers: { ...SMALL, ...layout.numbers } })
  return planExport({
    ...opened,
    recipe: loadRecipe(recipe, text),
    profile: 'identical',
    maxShardSizeBytes: 1e10,
    ...options,
  })
}

function errorOf(action: () => unknown): AppError {
  try {
    action()
  } catch (error: unknown) {
    if (error instanceof AppError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

const names = (result: ExportPlan): readonly string[] => result.tensors.map(({ name }) => name)
const dtypeOf = (result: ExportPlan, name: string): string | undefined =>
  result.tensors.find((tensor) => tensor.name === name)?.dtype
const membersOf = (task: ExportTask): readonly string[] =>
  task.kind === 'quantize' ? task.members.map(({ module }) => module) : []
const scaleOf = (result: ExportPlan, name: string): PlannedActivationScale | undefined =>
  result.activationScales.find(({ output }) => output.name === name)

describe('profiles', () => {
  test('identical stores F32 trunk tensors as BF16, hardened as they are', () => {
    const name = `${L}.0.linear_attn.A_log`
    expect(dtypeOf(plan('nvfp4'), name)).toBe('BF16')
    expect(dtypeOf(plan('nvfp4', { profile: 'hardened' }), name)).toBe('F32')
  })

  test('expert input scales are shared in identical, one per expert in hardened, and the option wins', () => {
    const scope = (options: Options): string | undefined =>
      scaleOf(plan('nvfp4_experts_only', options), `${L}.1.mlp.experts.2.up_proj.input_scale`)?.scope
    expect(scope({})).toBe('shared')
    expect(scope({ profile: 'hardened' })).toBe('per_expert')
    expect(scope({ expertInputScale: 'per_expert' })).toBe('per_expert')
  })
})

describe('activation scales', () => {
  test('gate and up of an expert share a site, down has its own', () => {
    const result = plan('nvfp4_experts_only')
    const sites = ['gate', 'up', 'down'].map(
      (projection) => scaleOf(result, `${L}.1.mlp.experts.2.${projection}_proj.input_scale`)?.sites,
    )
    const gateUp = [`${L}.1.mlp.experts.gate_up_proj_input_quantizer`]
    expect(sites).toEqual([gateUp, gateUp, [`${L}.1.mlp.experts.down_proj_input_quantizer`]])
  })

  test('a fusion group shares its maximum, except in FP8', () => {
    const name = `${L}.3.self_attn.k_proj.input_scale`
    expect(scaleOf(plan('nvfp4'), name)).toMatchObject({
      sites: ['q', 'k', 'v'].map((letter) => `${L}.3.self_attn.${letter}_proj.input_quantizer`),
      divisor: 2688,
      scope: 'module',
    })
    expect(scaleOf(plan('fp8'), name)?.sites).toEqual([`${L}.3.self_attn.k_proj.input_quantizer`])
  })

  test('KV scales exist for calibrated caches only, right behind k_norm', () => {
    const result = plan('nvfp4-kv_nvfp4')
    const at = names(result).indexOf(`${L}.3.self_attn.k_norm.weight`)
    expect(names(result).slice(at + 1, at + 3)).toEqual([
      `${L}.3.self_attn.k_proj.k_scale`,
      `${L}.3.self_attn.v_proj.v_scale`,
    ])
    expect(scaleOf(result, `${L}.3.self_attn.v_proj.v_scale`)).toMatchObject({
      sites: [`${L}.3.self_attn.v_bmm_quantizer`],
      divisor: 448,
    })
    expect(names(plan('nvfp4-kv_fp8_cast')).some((name) => name.endsWith('k_scale'))).toBe(false)
    expect(names(plan('nvfp4-kv_fp8_cast', { kv: 'fp8' })).some((name) => name.endsWith('k_scale'))).toBe(
      true,
    )
  })

  test('a constant maximum needs no statistics', () => {
    const result = plan('nvfp4_experts_only_input_scale1-kv_fp8_cast')
    expect(result.calibrationSites).toEqual([])
    expect(scaleOf(result, `${L}.0.mlp.experts.0.gate_proj.input_scale`)).toMatchObject({
      constantAmax: 2688,
      sites: [],
    })
  })
})

describe('a given dump', () => {
  const all = plan('nvfp4-kv_fp8').calibrationSites
  const missing = `${L}.2.mlp.experts.down_proj_input_quantizer`
  const availableSites = new Set(all.filter((site) => site !== missing && !site.endsWith('k_bmm_quantizer')))

  test('identical leaves out the scales it has no data for', () => {
    const gone = new Set(names(plan('nvfp4-kv_fp8')))
    for (const name of names(plan('nvfp4-kv_fp8', { availableSites }))) gone.delete(name)
    expect([...gone].sort()).toEqual([
      ...[0, 1, 2].map((expert) => `${L}.2.mlp.experts.${String(expert)}.down_proj.input_scale`),
      `${L}.3.self_attn.k_proj.k_scale`,
    ])
  })

  test('hardened refuses, naming the quantizer', () => {
    const error = errorOf(() => plan('nvfp4-kv_fp8', { availableSites, profile: 'hardened' }))
    expect([error.code, error.subject]).toEqual(['AMAX_MISSING', missing])
  })

  test('a group is satisfied by the members that have data', () => {
    const some = new Set(all.filter((site) => !/\.(k|v)_proj\.input/.test(site)))
    expect(
      scaleOf(plan('nvfp4-kv_fp8', { availableSites: some }), `${L}.3.self_attn.v_proj.input_scale`)?.sites,
    ).toEqual([`${L}.3.self_attn.q_proj.input_quantizer`])
  })
})

describe('tasks', () => {
  test('matrices that share a maximum are one task', () => {
    const groups = plan('nvfp4')
      .tasks.map(membersOf)
      .filter(({ length }) => length > 1)
    expect(groups).toContainEqual(['q', 'k', 'v'].map((letter) => `${L}.3.self_attn.${letter}_proj`))
    expect(groups).toContainEqual(['qkv', 'z'].map((part) => `${L}.0.linear_attn.in_proj_${part}`))
    expect(groups).toContainEqual(['gate', 'up'].map((part) => `${L}.0.mlp.experts.1.${part}_proj`))
    expect(groups).toContainEqual(['gate', 'up'].map((part) => `${L}.0.mlp.shared_expert.${part}_proj`))
  })

  test('FP8 linears are tasks of their own, gate and up of an expert stay together', () => {
    const groups = plan('fp8')
      .tasks.map(membersOf)
      .filter(({ length }) => length > 1)
    expect(groups.every(([first = '']) => first.includes('.mlp.experts.'))).toBe(true)
    expect(groups).toHaveLength(4 * SMALL.expertCount)
  })

  test('tasks are numbered in order and know layer and expert', () => {
    const { tasks } = plan('nvfp4_experts_only')
    expect(tasks.map(({ taskIndex }) => taskIndex)).toEqual(tasks.map((_, index) => index))
    const task = tasks.find((candidate) => membersOf(candidate).includes(`${L}.2.mlp.experts.1.down_proj`))
    expect(task).toMatchObject({ layerIndex: 2, expertIndex: 1 })
  })

  test('unquantized experts are split all the same', () => {
    const result = plan('fp8_attention_only', { layout: { mtpLayout: 'none' } })
    expect(names(result)).toContain(`${L}.0.mlp.experts.2.up_proj.weight`)
    expect(names(result).some((name) => name.endsWith('experts.gate_up_proj'))).toBe(false)
  })
})

describe('files', () => {
  test('a single shard has no index', () => {
    const result = plan('nvfp4')
    expect(result.shards.map(({ fileName }) => fileName)).toEqual(['model.safetensors'])
    expect(result.textFiles.map(({ fileName }) => fileName)).toEqual(['config.json', 'hf_quant_config.json'])
  })

  test('parameters of the index: packed weights by containers, without scales and MTP', () => {
    const total = (recipe: string, mtpLayout: 'fused' | 'none'): number => {
      const result = plan(recipe, { maxShardSizeBytes: 1e6, layout: { mtpLayout } })
      const text = result.textFiles.find(({ fileName }) => fileName.endsWith('index.json'))?.text ?? '{}'
      return (JSON.parse(text) as { metadata: { total_parameters: number } }).metadata.total_parameters
    }
    const quantized = 4 * SMALL.expertCount * 3 * 128 * 256
    expect(total('fp8', 'fused')).toBe(total('fp8', 'none'))
    expect(total('fp8', 'none') - total('nvfp4_experts_only', 'none')).toBe(quantized / 2)
  })

  test('nothing quantized: no quantization files', () => {
    const text = "quant_cfg: [{quantizer_name: '*', enable: false}]\n"
    const result = plan('off.yaml', { text })
    expect(result.textFiles.map(({ fileName }) => fileName)).toEqual(['config.json'])
    expect(result.textFiles[0]?.text).not.toContain('quantization_config')
  })
})

describe('other models', () => {
  test('tied embeddings: no head anywhere', () => {
    const result = plan('nvfp4', { layout: { hasHead: false } })
    expect(names(result)).not.toContain('lm_head.weight')
    expect(result.textFiles[1]?.text).not.toContain('lm_head')
  })

  test('text-only models keep their prefix', () => {
    const result = plan('nvfp4_experts_only', { layout: { prefix: 'flat', mtpLayout: 'none' } })
    expect(names(result)).toContain('model.layers.0.mlp.experts.0.down_proj.weight_scale_2')
    expect(result.textFiles[1]?.text).toContain('"model.layers.0.linear_attn*"')
  })
})

describe('refused before anything is read', () => {
  test('a width that blocks do not divide, with the module', () => {
    const error = errorOf(() => plan('nvfp4', { layout: { numbers: { expertWidth: 40 } } }))
    expect(error.code).toBe('BLOCK_SIZE_UNSUPPORTED')
    expect(error.subject).toBe(`${L}.0.mlp.experts.0.down_proj`)
  })

  test('tiles that gate and up would share: identical refuses, hardened gives each its own', () => {
    const layout = { numbers: { expertWidth: 64 } }
    const error = errorOf(() => plan('fp8_2d_blockwise_weight_only', { layout }))
    expect(error.code).toBe('BLOCK_SIZE_UNSUPPORTED')
    const result = plan('fp8_2d_blockwise_weight_only', { layout, profile: 'hardened' })
    const scale = result.tensors.find(({ name }) => name === `${L}.0.mlp.experts.0.up_proj.weight_scale`)
    expect(scale?.shape).toEqual([1, 1, 2, 1])
  })

  test('a recipe that wants the vision tower', () => {
    const text = "quant_cfg: [{quantizer_name: '*visual*attn.qkv.weight_quantizer', cfg: mxfp8}]\n"
    expect(errorOf(() => plan('vision.yaml', { text })).code).toBe('FORMAT_UNSUPPORTED')
  })

  test('a shard size of nothing', () => {
    expect(errorOf(() => plan('fp8', { maxShardSizeBytes: 0 })).code).toBe('SHARD_SIZE_INVALID')
  })
})
