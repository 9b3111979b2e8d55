/** What people are told before a run: sums that do not add up, or an engine said to load what it cannot, would be found here. */
import { describe, expect, test } from 'vitest'
import type { EngineVerdict, PlanSummary } from '../../../../../shared/domain/plan-summary.ts'
import { serveCommands } from '../../../../../main/engine/export/serve-commands.ts'
import type { ExportPlan } from '../../../../../main/engine/pipeline/export-plan.ts'
import { planExport } from '../../../../../main/engine/pipeline/plan-export.ts'
import { planText } from '../../../../../main/engine/pipeline/plan-text.ts'
import { summarisePlan } from '../../../../../main/engine/pipeline/summarise-plan.ts'
import type { ExportProfile } from '../../../../../main/engine/quant/formats.ts'
import { loadRecipe } from '../../../../../main/engine/recipes/load-recipe.ts'
import { headerCheckpoint } from '../../../../tools/header-checkpoint.ts'

const opened = headerCheckpoint({ numbers: { expertCount: 4, topK: 2 } })

function plan(
  recipe: string,
  profile: ExportProfile = 'hardened',
  availableSites?: ReadonlySet<string>,
): ExportPlan {
  return planExport({
    ...opened,
    recipe: loadRecipe(recipe),
    profile,
    maxShardSizeBytes: 1e10,
    availableSites,
  })
}

function summary(recipe: string, profile: ExportProfile = 'hardened', freeDiskBytes?: number): PlanSummary {
  return summarisePlan(plan(recipe, profile), opened.model, {
    workers: 2,
    freeDiskBytes,
    calibrationTokens: 4096,
  })
}

function verdicts(recipe: string, profile?: ExportProfile): readonly EngineVerdict['verdict'][] {
  return summary(recipe, profile).engines.map(({ verdict }) => verdict)
}

describe('sums', () => {
  const result = plan('qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8')
  const { byFormat, sourceBytes } = summarisePlan(result, opened.model, {
    workers: 1,
    calibrationTokens: 4096,
  })

  test('bytes by format are all bytes, before and after', () => {
    const sum = (key: 'sourceBytes' | 'outputBytes'): number =>
      byFormat.reduce((total, row) => total + row[key], 0)
    expect(sum('sourceBytes')).toBe(sourceBytes)
    expect(sum('outputBytes')).toBe(result.tensors.reduce((total, { sizeBytes }) => total + sizeBytes, 0))
  })

  test('every format of the recipe is a row', () => {
    expect(new Set(byFormat.map(({ format }) => format))).toEqual(
      new Set(['unquantized', 'fp8', 'w4a16_nvfp4', 'kv_cache']),
    )
  })
})

test('bits per weight cover the whole model', () => {
  const text = "quant_cfg: [{quantizer_name: '*', enable: false}]\n"
  const recipe = loadRecipe('off.yaml', text)
  const off = planExport({ ...opened, recipe, profile: 'identical', maxShardSizeBytes: 1e10 })
  const result = summarisePlan(off, opened.model, { workers: 1, calibrationTokens: 4096 })
  expect(result.bitsPerWeight).toBe(16)
  expect(result.warnings).toContain('recipe: no weight is quantized')
  expect(summary('nvfp4').bitsPerWeight).toBeLessThan(16)
})

test('data, memory, disk and time', () => {
  const calibrated = summary('nvfp4_experts_only-kv_fp8', 'hardened', 1000)
  expect(calibrated).toMatchObject({
    needsCalibration: true,
    calibrationSiteCount: 10,
    estimatedDurationMs: undefined,
  })
  expect(calibrated.warnings.some((warning) => warning.startsWith('disk:'))).toBe(true)
  const free = summary('nvfp4_experts_only_input_scale1-kv_fp8_cast')
  expect(free.needsCalibration).toBe(false)
  expect(free.estimatedDurationMs).toBeGreaterThan(0)
  const more = summarisePlan(plan('nvfp4'), opened.model, {
    workers: 4,
    calibrationTokens: 4096,
  }).peakMemoryBytes
  expect(more).toBeGreaterThan(summary('nvfp4').peakMemoryBytes)
})

test('memory of a calibration grows with its tokens: two f32 rows each', () => {
  const calibrated = plan('nvfp4_experts_only-kv_fp8')
  const peak = (calibrationTokens: number): number =>
    summarisePlan(calibrated, opened.model, { workers: 2, calibrationTokens }).peakMemoryBytes
  expect(opened.model.text.hiddenSize).toBe(256)
  expect(peak(1_000_000) - peak(500_000)).toBe(8 * 256 * 500_000)
  const free = plan('nvfp4_experts_only_input_scale1-kv_fp8_cast')
  const few = summarisePlan(free, opened.model, { workers: 2, calibrationTokens: 1 }).peakMemoryBytes
  expect(summarisePlan(free, opened.model, { workers: 2, calibrationTokens: 1e6 }).peakMemoryBytes).toBe(few)
})

test('a limit for hidden states takes them out of memory and puts them on the disk, beside those of two layer boundaries', () => {
  const calibrated = plan('nvfp4_experts_only-kv_fp8')
  const of = (stateLimitBytes?: number): PlanSummary =>
    summarisePlan(calibrated, opened.model, { workers: 2, calibrationTokens: 1_000_000, stateLimitBytes })
  const states = 8 * 256 * 1_000_000
  expect(of().peakMemoryBytes - of(500_000_000).peakMemoryBytes).toBe(states - 500_000_000)
  expect([of().scratchBytes, of(500_000_000).scratchBytes]).toEqual([states, 2 * states])
  expect(summary('nvfp4_experts_only_input_scale1-kv_fp8_cast').scratchBytes).toBe(0)
})

describe('engine verdicts: vLLM, SGLang, TensorRT-LLM', () => {
  test.each([
    ['nvfp4_experts_only-kv_fp8', ['loads', 'loads', 'loads']],
    ['nvfp4_experts_only_input_scale1-kv_fp8_cast', ['loads', 'loads', 'loads']],
    ['nvfp4_default-kv_fp8', ['loads', 'loads', 'fails']],
    ['fp8_default-kv_fp8', ['loads', 'loads', 'fails']],
    ['qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast', ['warns', 'fails', 'fails']],
    ['w4a16_nvfp4', ['loads', 'unknown', 'fails']],
    ['nvfp4_mlp_weight_only', ['warns', 'unknown', 'unknown']],
    ['mxfp8', ['loads', 'unknown', 'fails']],
    ['mxfp4', ['fails', 'unknown', 'fails']],
    ['int8', ['fails', 'unknown', 'fails']],
    ['mxfp4_mlp_weight_only', ['fails', 'unknown', 'unknown']],
    ['fp8_per_channel_per_token', ['fails', 'unknown', 'fails']],
    ['nvfp4_experts_only-kv_nvfp4_cast', ['warns', 'loads', 'loads']],
  ] as const)('%s', (recipe, expected) => {
    expect(verdicts(recipe)).toEqual(expected)
  })

  test('blocks of 32 without the hardened group_size fail on vLLM', () => {
    expect(verdicts('nvfp4_mlp_weight_only', 'identical')[0]).toBe('fails')
  })

  test('the failing module is named', () => {
    expect(summary('fp8').engines[2]?.reason).toContain(
      'model.language_model.layers.0.linear_attn.in_proj_qkv',
    )
  })

  test('experts without input scales fail everywhere', () => {
    const result = plan('nvfp4_experts_only', 'identical', new Set())
    const all = summarisePlan(result, opened.model, { workers: 1, calibrationTokens: 4096 }).engines.map(
      ({ verdict }) => verdict,
    )
    expect(all).toEqual(['fails', 'fails', 'fails'])
  })
})

describe('serve commands', () => {
  test('one for each engine that may load it, with quoted path', () => {
    const commands = serveCommands(plan('nvfp4_experts_only-kv_fp8'), opened.model, "/models/it's here")
    expect(commands).toEqual([
      {
        engine: 'vllm',
        command: "vllm serve '/models/it'\\''s here' --quantization modelopt_fp4 --kv-cache-dtype fp8",
      },
      {
        engine: 'sglang',
        command:
          "python -m sglang.launch_server --model-path '/models/it'\\''s here' --quantization modelopt_fp4 --kv-cache-dtype fp8_e4m3",
      },
      { engine: 'trtllm', command: "trtllm-serve '/models/it'\\''s here'" },
    ])
  })

  test('engines that fail are left out, mixed precision has its own method', () => {
    const commands = serveCommands(plan('qwen3_5_moe-w4a16_nvfp4-fp8_attn-kv_fp8_cast'), opened.model, '/m')
    expect(commands).toEqual([
      { engine: 'vllm', command: 'vllm serve /m --quantization modelopt_mixed --kv-cache-dtype fp8' },
    ])
  })
})

test('the text shows every part', () => {
  const text = planText(summary('nvfp4_experts_only-kv_fp8', 'hardened', 1000))
  for (const part of [
    'nvfp4_experts_only-kv_fp8',
    'hardened',
    'calibration needed, 10 statistics',
    'vLLM',
    'TensorRT-LLM',
    'warnings',
  ]) {
    expect(text).toContain(part)
  }
  expect(text.split('\n').every((line) => line.trimEnd() === line)).toBe(true)
})

test('a recipe that vLLM loads in the other dialect only says so, one that it loads in neither does not', () => {
  const wayOut = (recipe: string): unknown => summary(recipe).engines[0]?.wayOut
  const loads = { dialect: 'compressed-tensors', verdict: 'loads' }
  for (const recipe of ['int8', 'int8_weight_only', 'mxfp4', 'fp8_per_channel_per_token']) {
    expect(wayOut(recipe), recipe).toEqual(loads)
    expect(planText(summary(recipe))).toContain('with --dialect compressed-tensors it loads')
  }
  expect(wayOut('w4a8_mxfp4_fp8')).toBeUndefined()
  expect(wayOut('nvfp4_experts_only')).toBeUndefined()
})
