/** What the adapter makes of names, shapes, dtypes and configuration numbers; a wrong guess here quantizes the wrong bytes. */
import { LosslessNumber } from 'lossless-json'
import { describe, expect, test } from 'vitest'
import type { Checkpoint, TensorSlice } from '../../../../../../main/engine/checkpoint/checkpoint.ts'
import type { JsonObject, JsonValue } from '../../../../../../main/engine/formats/hf-config/lossless-json.ts'
import { recogniseModel } from '../../../../../../main/engine/models/recognise-model.ts'
import type { Dtype } from '../../../../../../shared/domain/dtype.ts'
import { errorOf } from '../../../../../tools/expect-error.ts'
import { headerCheckpoint, type HeaderLayout } from '../../../../../tools/header-checkpoint.ts'

type Change = Partial<TensorSlice> | 'remove'

/** A header-only checkpoint with some tensors changed, added or removed and some configuration keys set (undefined removes). */
function changed(
  layout: HeaderLayout,
  changes: Readonly<Record<string, Change>>,
  text: Readonly<Record<string, JsonValue | undefined>> = {},
  root: Readonly<Record<string, JsonValue | undefined>> = {},
): Checkpoint {
  const { checkpoint } = headerCheckpoint(layout)
  const tensors = new Map(checkpoint.tensors)
  for (const [name, change] of Object.entries(changes)) {
    const present = tensors.get(name) ?? {
      name,
      dtype: 'BF16',
      shape: [1],
      shardIndex: 0,
      offsetBytes: 0,
      sizeBytes: 2,
    }
    if (change === 'remove') tensors.delete(name)
    else tensors.set(name, { ...present, ...change })
  }
  const merge = (object: JsonObject, added: Readonly<Record<string, JsonValue | undefined>>): JsonObject => {
    const members = Object.entries({ ...object, ...added })
    return Object.fromEntries(
      members.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])),
    )
  }
  const nested = checkpoint.config['text_config'] as JsonObject | undefined
  const config =
    nested === undefined
      ? merge(checkpoint.config, text)
      : { ...checkpoint.config, text_config: merge(nested, text) }
  return { ...checkpoint, tensors, config: merge(config, root) }
}

const number = (value: number | string): LosslessNumber => new LosslessNumber(String(value))
const P = 'model.language_model'

describe('modules', () => {
  test('are the candidates of an exclude list', () => {
    const { model } = headerCheckpoint()
    const of = (prefix: string): string[] =>
      model.modules
        .filter(({ name }) => name.startsWith(prefix))
        .map(({ name, kind }) => `${kind} ${name.slice(prefix.length)}`)
    expect(of(`${P}.layers.0.`)).toEqual([
      'conv linear_attn.conv1d',
      'linear linear_attn.out_proj',
      'linear linear_attn.in_proj_qkv',
      'linear linear_attn.in_proj_z',
      'linear linear_attn.in_proj_b',
      'linear linear_attn.in_proj_a',
      'experts mlp.experts',
      'linear mlp.shared_expert.gate_proj',
      'linear mlp.shared_expert.up_proj',
      'linear mlp.shared_expert.down_proj',
      'linear mlp.shared_expert_gate',
      'router mlp.gate',
    ])
    expect(of(`${P}.layers.3.self_attn`)).toEqual([
      'linear .q_proj',
      'linear .k_proj',
      'linear .v_proj',
      'linear .o_proj',
    ])
    expect(of('model.visual.')).toEqual([
      'conv patch_embed.proj',
      'embedding pos_embed',
      ...[0, 1].flatMap((block) =>
        ['attn.qkv', 'attn.proj', 'mlp.linear_fc1', 'mlp.linear_fc2'].map(
          (name) => `linear blocks.${String(block)}.${name}`,
        ),
      ),
      'linear merger.linear_fc1',
      'linear merger.linear_fc2',
    ])
    expect(model.modules.some(({ name }) => name.startsWith('mtp'))).toBe(false)
  })

  test('that read the same tensor are grouped', () => {
    const { model } = headerCheckpoint()
    expect(model.fusionGroups.slice(4)).toEqual([
      [`${P}.layers.2.linear_attn.in_proj_qkv`, `${P}.layers.2.linear_attn.in_proj_z`],
      [`${P}.layers.2.mlp.shared_expert.gate_proj`, `${P}.layers.2.mlp.shared_expert.up_proj`],
      ['q', 'k', 'v'].map((name) => `${P}.layers.3.self_attn.${name}_proj`),
      [`${P}.layers.3.mlp.shared_expert.gate_proj`, `${P}.layers.3.mlp.shared_expert.up_proj`],
    ])
  })
})

describe('released shapes', () => {
  // A linear-attention layer has 18 tensors with fused experts, a full-attention layer 15; embedding, norm and head are 3.
  test.each([
    ['qwen3.5-35b-a3b', 30, 10, 256],
    ['qwen3.5-122b-a10b', 36, 12, 256],
    ['qwen3.5-397b-a17b', 45, 15, 512],
  ] as const)('%s', (shape, linear, full, expertCount) => {
    const { model, checkpoint } = headerCheckpoint({ shape, mtpLayout: 'none', hasVision: false })
    expect(model.text.layerKinds.filter((kind) => kind === 'linear_attention')).toHaveLength(linear)
    expect(model.text.layerKinds.filter((kind) => kind === 'full_attention')).toHaveLength(full)
    expect(model.text.expertCount).toBe(expertCount)
    expect(checkpoint.tensors.size).toBe(linear * 18 + full * 15 + 3)
  })

  test('35B has the size and the tensor count of the release', () => {
    const { checkpoint } = headerCheckpoint({ shape: 'qwen3.5-35b-a3b', mtpLayout: 'per_expert' })
    expect(checkpoint.tensors.size).toBe(1811)
    expect(checkpoint.totalTensorBytes).toBe(71_903_655_008)
    expect([...checkpoint.tensors.keys()].filter((name) => name.startsWith('mtp.'))).toHaveLength(785)
  })
})

describe('variants', () => {
  test('tied embeddings need no lm_head', () => {
    const { model } = headerCheckpoint({ hasHead: false })
    expect(model.text.tieWordEmbeddings).toBe(true)
    expect(model.modules.some(({ name }) => name === 'lm_head')).toBe(false)
  })

  test('prefix language_model.model with its own head', () => {
    const { checkpoint } = headerCheckpoint({ hasVision: false, mtpLayout: 'none' })
    const rename = (name: string): string =>
      name === 'lm_head.weight' ? 'language_model.lm_head.weight' : name.replace(P, 'language_model.model')
    const tensors = new Map(
      [...checkpoint.tensors].map(([name, slice]) => [rename(name), { ...slice, name: rename(name) }]),
    )
    const model = recogniseModel({ ...checkpoint, tensors })
    expect(model.prefix).toBe('language_model.model')
    expect(model.exportOrder.at(-1)).toMatchObject({ kind: 'linear', module: 'language_model.lm_head' })
    expect(model.problems.map(({ subject }) => subject)).not.toContain('language_model.lm_head.weight')
  })

  test.each(['F16', 'F32', 'BF16'] as const)('weights in %s', (dtype) => {
    const name = `${P}.layers.1.mlp.experts.down_proj`
    const bytes = { F16: 2, F32: 4, BF16: 2 }[dtype]
    const model = recogniseModel(changed({}, { [name]: { dtype, sizeBytes: 32 * 256 * 128 * bytes } }))
    const item = model.exportOrder.find(
      (candidate) => candidate.kind === 'experts' && candidate.layerIndex === 1,
    )
    expect(item?.kind === 'experts' ? item.experts[1]?.down : undefined).toMatchObject({
      dtype,
      shape: [256, 128],
      sizeBytes: 256 * 128 * bytes,
    })
  })

  test('layer kinds from the interval, rope from the older flat keys, no architecture', () => {
    const text = {
      layer_types: undefined,
      rope_parameters: undefined,
      rope_theta: number(10000.0),
      partial_rotary_factor: number('0.5'),
    }
    const model = recogniseModel(changed({}, {}, text, { architectures: undefined }))
    expect(model.text).toMatchObject({
      ropeTheta: 10000,
      rotaryDim: 32,
      layerKinds: ['linear_attention', 'linear_attention', 'linear_attention', 'full_attention'],
    })
    expect(model.architecture).toBe('qwen3_5_moe')
  })

  test('an unknown tensor is carried over and reported', () => {
    const model = recogniseModel(changed({}, { 'model.extra.weight': {} }))
    expect(model.roles.get('model.extra.weight')).toBe('other')
    expect(
      model.exportOrder.filter((item) => item.kind === 'tensor' && item.name === 'model.extra.weight'),
    ).toHaveLength(1)
    expect(model.problems).toContainEqual(
      expect.objectContaining({ severity: 'warning', subject: 'model.extra.weight' }),
    )
  })

  test('a null quantization_config is none', () => {
    expect(recogniseModel(changed({}, {}, {}, { quantization_config: null })).family).toBe('qwen3_5_moe')
  })
})

describe('refused tensors', () => {
  const experts = `${P}.layers.2.mlp.experts`
  const each = { expertLayout: 'per_expert' } as const
  const packed = (dtype: Dtype): Partial<TensorSlice> => ({ dtype, shape: [128, 128] })
  test.each([
    [
      'a norm is missing',
      {},
      { [`${P}.layers.3.input_layernorm.weight`]: 'remove' },
      'TENSOR_MISSING',
      'layers.3.input_layernorm',
    ],
    [
      'lm_head is missing and not tied',
      {},
      { 'lm_head.weight': 'remove' },
      'TENSOR_MISSING',
      'lm_head.weight',
    ],
    [
      'an expert is missing',
      each,
      { [`${experts}.31.up_proj.weight`]: 'remove' },
      'TENSOR_MISSING',
      'experts.31.up_proj',
    ],
    [
      'an expert too many',
      each,
      { [`${experts}.32.up_proj.weight`]: {} },
      'TENSOR_NAME_UNKNOWN',
      'experts.32.up_proj',
    ],
    [
      'a decoder layer too many',
      {},
      { [`${P}.layers.4.input_layernorm.weight`]: {} },
      'TENSOR_NAME_UNKNOWN',
      'layers.4.',
    ],
    [
      'both expert layouts at once',
      {},
      { [`${experts}.0.gate_proj.weight`]: { shape: [128, 256] } },
      'TENSOR_NAME_UNKNOWN',
      experts,
    ],
    [
      'one half of the fused pair',
      {},
      { [`${experts}.down_proj`]: 'remove' },
      'TENSOR_MISSING',
      `${experts}.down_proj`,
    ],
    [
      'transposed down_proj',
      {},
      { [`${experts}.down_proj`]: { shape: [32, 128, 256] } },
      'TENSOR_SHAPE_INVALID',
      `${experts}.down_proj`,
    ],
    [
      'a router for other experts',
      {},
      { [`${P}.layers.0.mlp.gate.weight`]: { shape: [31, 256] } },
      'TENSOR_SHAPE_INVALID',
      'layers.0.mlp.gate',
    ],
    [
      'a wrong rank',
      {},
      { [`${P}.layers.0.linear_attn.conv1d.weight`]: { shape: [512, 4] } },
      'TENSOR_SHAPE_INVALID',
      'conv1d',
    ],
    [
      'FP8 weights',
      each,
      { [`${experts}.0.gate_proj.weight`]: { dtype: 'F8_E4M3' } },
      'TENSOR_DTYPE_INVALID',
      'experts.0.gate_proj',
    ],
    [
      'packed 4-bit weights',
      each,
      { [`${experts}.0.gate_proj.weight`]: packed('U8') },
      'TENSOR_DTYPE_INVALID',
      'experts.0.gate_proj',
    ],
  ] as const)(
    '%s',
    async (_, layout: HeaderLayout, changes: Readonly<Record<string, Change>>, code, subject) => {
      const error = await errorOf(() => recogniseModel(changed(layout, changes)))
      expect(error.code).toBe(code)
      expect(error.subject).toContain(subject)
    },
  )

  test('transposed experts are called that', async () => {
    const layout = { numbers: { expertWidth: 64 } }
    const change = { [`${experts}.gate_up_proj`]: { shape: [32, 256, 128] } }
    expect((await errorOf(() => recogniseModel(changed(layout, change)))).problem).toContain('transposed')
  })

  test('a dense MLP under the sparse name', async () => {
    const change = { [`${P}.layers.0.mlp.gate_proj.weight`]: {} }
    const error = await errorOf(() => recogniseModel(changed({}, change)))
    expect(error).toMatchObject({ code: 'ARCHITECTURE_UNSUPPORTED', kind: 'unsupported' })
    expect(error.problem).toContain('dense')
  })
})

describe('refused configuration', () => {
  test.each([
    ['hidden_size', undefined],
    ['hidden_size', number(0)],
    ['hidden_size', number(-256)],
    ['hidden_size', number('256.5')],
    ['hidden_size', number('1e9')],
    ['hidden_size', '256'],
    ['num_hidden_layers', number(100_000)],
    ['num_experts', number('1e7')],
    ['num_experts_per_tok', number(33)],
    ['num_key_value_heads', number(3)],
    ['linear_num_key_heads', number(3)],
    ['layer_types', ['full_attention']],
    ['layer_types', ['linear_attention', 'linear_attention', 'sliding_attention', 'full_attention']],
    ['rms_norm_eps', number('1e999')],
    ['rope_parameters', { rope_theta: number(10000), partial_rotary_factor: number('0.01') }],
    ['rope_parameters', { rope_theta: number(10000) }],
  ] as const)('%s = %j', async (key, value) => {
    const error = await errorOf(() =>
      recogniseModel(changed({}, {}, { [key]: value as JsonValue | undefined })),
    )
    expect(error.code).toBe('CONFIG_INVALID')
    expect(error.subject).toContain('config.json')
  })

  test.each([
    ['hidden_act', 'gelu'],
    ['attention_bias', true],
    ['attn_output_gate', false],
    ['output_gate_type', 'sigmoid'],
    ['mlp_only_layers', [number(0)]],
    ['decoder_sparse_step', number(2)],
    [
      'rope_parameters',
      { rope_type: 'yarn', rope_theta: number(10000), partial_rotary_factor: number('0.25') },
    ],
    ['num_experts', undefined],
    ['num_experts', number(0)],
    ['quantization_config', { quant_method: 'fp8' }],
  ])('%s = %j is another model', async (key, value) => {
    const error = await errorOf(() => recogniseModel(changed({}, {}, { [key]: value })))
    expect(error.code).toBe('ARCHITECTURE_UNSUPPORTED')
  })
})
