/** A role, prefix or order mistake here would silently leave experts out of an export. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../../../../main/engine/checkpoint/open-checkpoint.ts'
import { NodeCheckpointFolder } from '../../../../../main/engine/io/node/checkpoint-folder.ts'
import { recogniseModel } from '../../../../../main/engine/models/recognise-model.ts'
import type { MoeModel } from '../../../../../main/engine/models/moe-model.ts'
import { changeJson, copySample } from '../../../../tools/damaged-checkpoint.ts'
import { relayoutSample } from '../../../../tools/relayout.ts'
import { SAMPLE } from '../../../../tools/sample-path.ts'

async function recognise(path: string): Promise<MoeModel> {
  return recogniseModel(await openCheckpoint(new NodeCheckpointFolder(path)))
}

const itemNames = (model: MoeModel): string[] =>
  model.exportOrder.map((item) =>
    item.kind === 'tensor' ? item.name : item.kind === 'kv_cache' ? `${item.module} (kv)` : item.module,
  )

describe('the sample', () => {
  test('is recognised with its layout', async () => {
    const model = await recognise(SAMPLE)
    expect(model).toMatchObject({
      family: 'qwen3_5_moe',
      prefix: 'model.language_model',
      expertLayout: 'fused',
      mtpLayout: 'fused',
      hasVision: true,
      mtpPrefixes: ['mtp', 'mtp.layers.0'],
      problems: [],
    })
    expect(model.text).toMatchObject({
      layerCount: 4,
      expertCount: 32,
      topK: 4,
      rotaryDim: 16,
      hiddenSize: 256,
    })
    expect(model.fusionGroups).toHaveLength(8)
  })

  test('lists items in state-dict order', async () => {
    const names = itemNames(await recognise(SAMPLE))
    const layer = 'model.language_model.layers'
    expect(names.slice(0, 4)).toEqual([
      'model.visual.patch_embed.proj.weight',
      'model.visual.patch_embed.proj.bias',
      'model.visual.pos_embed.weight',
      'model.visual.blocks.0.norm1.weight',
    ])
    expect(names.slice(27, 49)).toEqual([
      'model.visual.merger.norm.weight',
      'model.visual.merger.norm.bias',
      'model.visual.merger.linear_fc1.weight',
      'model.visual.merger.linear_fc1.bias',
      'model.visual.merger.linear_fc2.weight',
      'model.visual.merger.linear_fc2.bias',
      'model.language_model.embed_tokens.weight',
      `${layer}.0.linear_attn.dt_bias`,
      `${layer}.0.linear_attn.A_log`,
      `${layer}.0.linear_attn.conv1d.weight`,
      `${layer}.0.linear_attn.norm.weight`,
      `${layer}.0.linear_attn.out_proj`,
      `${layer}.0.linear_attn.in_proj_qkv`,
      `${layer}.0.linear_attn.in_proj_z`,
      `${layer}.0.linear_attn.in_proj_b`,
      `${layer}.0.linear_attn.in_proj_a`,
      `${layer}.0.mlp.gate.weight`,
      `${layer}.0.mlp.experts`,
      `${layer}.0.mlp.shared_expert.gate_proj`,
      `${layer}.0.mlp.shared_expert.up_proj`,
      `${layer}.0.mlp.shared_expert.down_proj`,
      `${layer}.0.mlp.shared_expert_gate`,
    ])
    expect(names.indexOf(`${layer}.3.self_attn (kv)`)).toBe(
      names.indexOf(`${layer}.3.self_attn.k_norm.weight`) + 1,
    )
    expect(names.slice(-21, -17)).toEqual([
      'model.language_model.norm.weight',
      'lm_head',
      'mtp.fc.weight',
      'mtp.layers.0.input_layernorm.weight',
    ])
  })

  test('experts are cut from the fused tensors: gate rows first, then up', async () => {
    const model = await recognise(SAMPLE)
    const item = model.exportOrder.find((candidate) => candidate.kind === 'experts')
    if (item?.kind !== 'experts') throw new Error('no experts')
    const places = item.experts
      .slice(0, 2)
      .map(({ gate, up, down }) => [gate.offsetBytes, up.offsetBytes, down.offsetBytes] as const)
    const gate = places[0]?.[0] ?? 0
    const down = places[0]?.[2] ?? 0
    expect(item.experts[0]?.gate.shape).toEqual([128, 256])
    expect(places).toEqual([
      [gate, gate + 128 * 256 * 2, down],
      [gate + 2 * 128 * 256 * 2, gate + 3 * 128 * 256 * 2, down + 256 * 128 * 2],
    ])
  })
})

test('per-expert tensors under a flat prefix are the same model', async () => {
  const model = await recognise(await relayoutSample({ experts: 'per_expert', prefix: 'model', shards: 2 }))
  expect(model).toMatchObject({
    prefix: 'model',
    expertLayout: 'per_expert',
    mtpLayout: 'per_expert',
    hasVision: false,
  })
  expect(model.architecture).toBe('Qwen3_5MoeForCausalLM')
})

describe('refused', () => {
  test.each([
    ['dense Qwen3.5', { architectures: ['Qwen3_5ForConditionalGeneration'], model_type: 'qwen3_5' }, 'dense'],
    [
      'qwen4_exp',
      { architectures: ['Qwen4ExpForConditionalGeneration'], model_type: 'qwen4_exp' },
      'qwen4_exp',
    ],
    [
      'another family',
      { architectures: ['MixtralForCausalLM'], model_type: 'mixtral' },
      'MixtralForCausalLM',
    ],
    [
      'an already quantized checkpoint',
      { quantization_config: { quant_method: 'fp8' } },
      'already quantized',
    ],
  ])('%s', async (_, change, text) => {
    const folder = await copySample(['config.json'])
    await changeJson(join(folder, 'config.json'), (json) => Object.assign(json, change))
    await expect(recognise(folder)).rejects.toThrow(
      expect.objectContaining({
        code: 'ARCHITECTURE_UNSUPPORTED',
        message: expect.stringContaining(text) as unknown,
      }),
    )
  })

  test('a checkpoint without one of its experts', async () => {
    const folder = await relayoutSample({ experts: 'per_expert', prefix: 'model.language_model', shards: 2 })
    const path = join(folder, 'config.json')
    await writeFile(path, (await readFile(path, 'utf8')).replace('"num_experts": 32', '"num_experts": 33'))
    await expect(recognise(folder)).rejects.toThrow(expect.objectContaining({ code: 'TENSOR_SHAPE_INVALID' }))
  })
})
