/**
 * Exports of the sample in the compressed-tensors dialect, held against the tensors that vLLM's compressed-tensors loaders allocate, written
 * out here by format. A name, dtype or shape that differs is memory that the loader never fills.
 */
import { readdir } from 'node:fs/promises'
import { beforeAll, describe, expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { fixtureAmax } from '../../tools/fixture-amax.ts'
import { readExport, readQuantizationConfig, type RawTensor } from '../../tools/read-export.ts'
import { relayoutSample } from '../../tools/relayout.ts'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'

const LAYER = 'model.language_model.layers.0'
/** Quantized matrices of an expert of layer 0: [128, 256] for gate and up, [256, 128] for down. */
const EXPERT = [
  [`${LAYER}.mlp.experts.31.gate_proj`, 128, 256],
  [`${LAYER}.mlp.experts.31.up_proj`, 128, 256],
  [`${LAYER}.mlp.experts.31.down_proj`, 256, 128],
] as const

type Rule = (rows: number, cols: number) => Record<string, readonly [dtype: string, ...shape: number[]]>

const RULES: Record<string, { format: string; tensors: Rule }> = {
  'nvfp4_experts_only_input_scale1-kv_fp8_cast': {
    format: 'nvfp4-pack-quantized',
    tensors: (rows, cols) => ({
      weight_packed: ['U8', rows, cols / 2],
      weight_scale: ['F8_E4M3', rows, cols / 16],
      weight_global_scale: ['F32', 1],
      input_global_scale: ['F32', 1],
    }),
  },
  w4a16_nvfp4: {
    format: 'nvfp4-pack-quantized',
    tensors: (rows, cols) => ({
      weight_packed: ['U8', rows, cols / 2],
      weight_scale: ['F8_E4M3', rows, cols / 16],
      weight_global_scale: ['F32', 1],
    }),
  },
  mxfp4: {
    format: 'mxfp4-pack-quantized',
    tensors: (rows, cols) => ({
      weight_packed: ['U8', rows, cols / 2],
      weight_scale: ['U8', rows, cols / 32],
    }),
  },
  'mxfp8-kv_fp8_cast': {
    format: 'mxfp8-quantized',
    tensors: (rows, cols) => ({ weight: ['F8_E4M3', rows, cols], weight_scale: ['U8', rows, cols / 32] }),
  },
  fp8_per_channel_per_token: {
    format: 'float-quantized',
    tensors: (rows, cols) => ({ weight: ['F8_E4M3', rows, cols], weight_scale: ['F32', rows, 1] }),
  },
  fp8_2d_blockwise_weight_only: {
    format: 'float-quantized',
    tensors: (rows, cols) => ({
      weight: ['F8_E4M3', rows, cols],
      weight_scale: ['F32', Math.ceil(rows / 128), Math.ceil(cols / 128)],
    }),
  },
  int8: {
    format: 'int-quantized',
    tensors: (rows, cols) => ({ weight: ['I8', rows, cols], weight_scale: ['F32', rows, 1] }),
  },
  int8_weight_only: {
    format: 'pack-quantized',
    tensors: (rows, cols) => ({
      weight_packed: ['I32', rows, cols / 4],
      weight_scale: ['F32', rows, 1],
      weight_shape: ['I64', 2],
    }),
  },
  int4_blockwise_weight_only: {
    format: 'pack-quantized',
    tensors: (rows, cols) => ({
      weight_packed: ['I32', rows, cols / 8],
      weight_scale: ['F32', rows, cols / 128],
      weight_shape: ['I64', 2],
    }),
  },
}

/** How an engine must be told to round the inputs, where it is told by the configuration alone. */
const TOKEN_INPUTS = { num_bits: 8, type: 'float', strategy: 'token', symmetric: true, dynamic: true }

/** The MTP block is carried over in the layout it has. */
function trunkOf(tensors: ReadonlyMap<string, RawTensor>): Map<string, RawTensor> {
  return new Map([...tensors].filter(([name]) => !name.startsWith('mtp.')))
}

function tensorsBelow(tensors: ReadonlyMap<string, RawTensor>, module: string): Record<string, unknown> {
  const found = [...tensors].filter(([name]) => name.startsWith(`${module}.`))
  return Object.fromEntries(
    found.map(([name, { dtype, shape }]) => [name.slice(module.length + 1), [dtype, ...shape]]),
  )
}

describe('compressed-tensors export of the sample', () => {
  test.each(Object.entries(RULES))(
    '%s has what its loader allocates',
    async (recipe, { format, tensors: rule }) => {
      const { report, outputPath } = await runForTest({ options: { recipe, dialect: 'compressed-tensors' } })
      expect(report.findings).toEqual([])
      const tensors = await readExport(outputPath)
      for (const [module, rows, cols] of EXPERT)
        expect(tensorsBelow(tensors, module)).toEqual(rule(rows, cols))
      expect((await readQuantizationConfig(outputPath))['format']).toBe(format)
      expect(await readdir(outputPath)).not.toContain('hf_quant_config.json')
    },
  )

  describe('FP8 with calibrated inputs and KV cache', () => {
    let tensors = new Map<string, RawTensor>()
    beforeAll(async () => {
      const recipe = 'fp8_default-kv_fp8'
      const amaxPath = await fixtureAmax(recipe)
      const { outputPath } = await runForTest({
        amaxPath,
        options: { recipe, dialect: 'compressed-tensors' },
      })
      tensors = await readExport(outputPath)
    })

    test('scalars have one element', () => {
      expect(tensorsBelow(tensors, EXPERT[0][0])).toEqual({
        weight: ['F8_E4M3', 128, 256],
        weight_scale: ['F32', 1],
        input_scale: ['F32', 1],
      })
    })

    test('KV scales belong to the attention module', () => {
      const scales = [...tensors.keys()].filter((name) => /[kv]_scale$/.test(name)).sort()
      expect(scales).toEqual(
        [3].flatMap((layer) =>
          ['k_scale', 'v_scale'].map(
            (name) => `model.language_model.layers.${String(layer)}.self_attn.${name}`,
          ),
        ),
      )
    })
  })
})

describe('INT4 weights with FP8 inputs (W4AFP8)', () => {
  test.each(['per_expert', 'fused'] as const)('experts stored %s', async (experts) => {
    const checkpointPath = await relayoutSample({ experts, prefix: 'model', shards: 2 })
    const recipes = ['w4a8_int4_fp8_experts_only', 'int4_blockwise_experts_only']
    const [both, weightOnly] = await Promise.all(
      recipes.map((recipe) => runForTest({ checkpointPath, options: { recipe } })),
    )
    if (both === undefined || weightOnly === undefined) throw new Error('two runs were started')
    // Rounding of inputs stores nothing: codes, scales and sizes are those of INT4 alone, which are held against a plain reference below.
    const expected = await readExport(weightOnly.outputPath)
    const found = await readExport(both.outputPath)
    expect([...found.keys()]).toEqual([...expected.keys()])
    for (const [name, { bytes }] of expected) expect(found.get(name)?.bytes.equals(bytes), name).toBe(true)
    const { config_groups: groups } = await readQuantizationConfig(both.outputPath)
    expect(groups).toMatchObject({
      group_0: {
        format: 'pack-quantized',
        targets: ['Linear'],
        weights: { num_bits: 4, type: 'int', strategy: 'group', group_size: 128, symmetric: true },
        input_activations: TOKEN_INPUTS,
      },
    })
    const report = await verifyExport(new NodeCheckpointFolder(both.outputPath), {
      source: new NodeCheckpointFolder(checkpointPath),
    })
    expect(report).toMatchObject({ isSound: true, comparedMatrixCount: 4 * 32 * 3 })
    expect(report.findings.filter(({ severity }) => severity !== 'info')).toEqual([])
    expect(report.errors.map(({ format }) => format)).toEqual(['pack-quantized'])
    expect(report.engines[0]).toMatchObject({ engine: 'vllm', verdict: 'warns', rule: 'vllm.int4-fp8' })
  })
})

describe('NVFP4 global scales', () => {
  const OPTIONS = {
    recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast',
    dialect: 'compressed-tensors',
  } as const
  const f32 = (tensor: RawTensor | undefined): number => tensor?.bytes.readFloatLE(0) ?? Number.NaN

  test('gate and up share the smaller of their own 2688 / amax; inputs of scale 1 stay 1', async () => {
    const source = await readExport(
      await relayoutSample({ experts: 'per_expert', prefix: 'model.language_model', shards: 1 }),
    )
    const tensors = await readExport((await runForTest({ options: OPTIONS })).outputPath)
    const amax = (name: string): number => {
      const bytes = source.get(`${name}.weight`)?.bytes ?? Buffer.alloc(0)
      let largest = 0
      for (let at = 0; at < bytes.length; at += 2)
        largest = Math.max(largest, bytes.readUInt16LE(at) & 0x7fff)
      const view = Buffer.alloc(4)
      view.writeUInt16LE(largest, 2)
      return view.readFloatLE(0)
    }
    for (const expert of [0, 7, 31]) {
      const [gate, up] = ['gate', 'up'].map((name) => `${LAYER}.mlp.experts.${String(expert)}.${name}_proj`)
      const stored = [gate, up].map((name) => f32(tensors.get(`${name ?? ''}.weight_global_scale`)))
      const own = [gate, up].map((name) => 2688 / amax(name ?? ''))
      expect(stored[0]).toBe(stored[1])
      expect(stored[0]).toBeCloseTo(Math.min(...own), 2)
      expect(own[0]).not.toBe(own[1])
      expect(f32(tensors.get(`${gate ?? ''}.input_global_scale`))).toBe(1)
    }
  })

  test('workers and source layouts give the same tensors', async () => {
    const alone = await runForTest({ options: { ...OPTIONS, workers: 1 } })
    const many = await runForTest({ options: { ...OPTIONS, workers: 5 } })
    expect(await hashExport(many.outputPath)).toEqual(await hashExport(alone.outputPath))
    const checkpointPath = await relayoutSample({
      experts: 'per_expert',
      prefix: 'model.language_model',
      shards: 3,
    })
    const split = trunkOf(
      await readExport((await runForTest({ checkpointPath, options: OPTIONS })).outputPath),
    )
    const whole = trunkOf(await readExport(alone.outputPath))
    expect([...split.keys()].sort()).toEqual([...whole.keys()].sort())
    for (const [name, { bytes }] of whole) expect(split.get(name)?.bytes.equals(bytes), name).toBe(true)
  })
})

test('INT4 codes and scales give the weights back within half a step', async () => {
  const { outputPath } = await runForTest({ options: { recipe: 'int4_blockwise_experts_only' } })
  const tensors = await readExport(outputPath)
  const source = await readExport(
    await relayoutSample({ experts: 'per_expert', prefix: 'model.language_model', shards: 1 }),
  )
  const [module, rows, cols] = EXPERT[0]
  const packed = tensors.get(`${module}.weight_packed`)?.bytes ?? Buffer.alloc(0)
  const scales = tensors.get(`${module}.weight_scale`)?.bytes ?? Buffer.alloc(0)
  const weights = source.get(`${module}.weight`)?.bytes ?? Buffer.alloc(0)
  const shape = tensors.get(`${module}.weight_shape`)?.bytes ?? Buffer.alloc(16)
  expect([shape.readBigInt64LE(0), shape.readBigInt64LE(8)]).toEqual([BigInt(rows), BigInt(cols)])
  let worst = 0
  for (let row = 0; row < rows; row += 1) {
    for (let col = 0; col < cols; col += 1) {
      const word = packed.readUInt32LE((row * (cols / 8) + Math.floor(col / 8)) * 4)
      const code = ((word >>> (4 * (col % 8))) & 0xf) - 8
      const scale = scales.readFloatLE((row * (cols / 128) + Math.floor(col / 128)) * 4)
      const bits = Buffer.alloc(4)
      bits.writeUInt16LE(weights.readUInt16LE((row * cols + col) * 2), 2)
      worst = Math.max(worst, Math.abs(code * scale - bits.readFloatLE(0)) / scale)
    }
  }
  expect(worst).toBeLessThanOrEqual(0.5001)
  expect(worst).toBeGreaterThan(0.4)
})
