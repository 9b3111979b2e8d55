/**
 * A small random model in memory: configuration, tensors in a chosen element type, and a reader that serves them. Written without the code
 * that is tested; values are exactly representable in the element type, so that a reference can use them as they are.
 */
import type { TensorSlice } from '../../main/engine/checkpoint/checkpoint.ts'
import type { WeightReader, WeightUnit } from '../../main/engine/calibration/weight-reader.ts'
import type { ExportItem, MoeModel, TensorRole } from '../../main/engine/models/moe-model.ts'
import type { MixerKind, QwenTextConfig } from '../../main/engine/models/qwen3_5-moe/text-config.ts'

export type MemoryDtype = 'BF16' | 'F16' | 'F32'

export interface MemoryModel {
  readonly model: MoeModel
  /** Values of every tensor by full name, row-major. */
  readonly values: ReadonlyMap<string, Float64Array>
  readonly bytes: Uint8Array<ArrayBuffer>
}

const PREFIX = 'model.language_model'

export const SMALL_CONFIG: QwenTextConfig = {
  hiddenSize: 24,
  layerCount: 2,
  layerKinds: ['linear_attention', 'full_attention'],
  vocabSize: 61,
  headCount: 4,
  kvHeadCount: 2,
  headDim: 12,
  linearKeyHeadCount: 2,
  linearValueHeadCount: 4,
  linearKeyHeadDim: 8,
  linearValueHeadDim: 6,
  convKernelSize: 4,
  expertCount: 7,
  topK: 3,
  expertWidth: 10,
  sharedExpertWidth: 14,
  rmsNormEps: 1e-6,
  ropeTheta: 10_000,
  rotaryDim: 4,
  maxPositions: 4096,
  tieWordEmbeddings: false,
}

/** Numbers in (−1, 1), the same for the same seed. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 32) * 2 - 1
  }
}

export function makeMemoryModel(text: QwenTextConfig, dtype: MemoryDtype, seed: number): MemoryModel {
  const random = randomNumbers(seed)
  const values = new Map<string, Float64Array>()
  const slices: TensorSlice[] = []
  const elementBytes = dtype === 'F32' ? 4 : 2
  let offsetBytes = 0
  const add = (name: string, shape: readonly number[], scale: number): TensorSlice => {
    const count = shape.reduce((product, size) => product * size, 1)
    values.set(
      name,
      Float64Array.from({ length: count }, () => roundTo(dtype, random() * scale)),
    )
    const slice = { name, dtype, shape, shardIndex: 0, offsetBytes, sizeBytes: count * elementBytes }
    offsetBytes += slice.sizeBytes
    slices.push(slice)
    return slice
  }
  const items = addTensors(text, add)
  const bytes = new Uint8Array(offsetBytes)
  for (const slice of slices) write(bytes, slice, values.get(slice.name) ?? new Float64Array(0))
  const model: MoeModel = {
    family: 'qwen3_5_moe',
    architecture: 'Qwen3_5MoeForConditionalGeneration',
    prefix: PREFIX,
    text,
    expertLayout: 'per_expert',
    mtpLayout: 'none',
    hasVision: false,
    modules: [],
    fusionGroups: [],
    exportOrder: items,
    mtpPrefixes: [],
    roles: new Map(),
    problems: [],
  }
  return { model, values, bytes }
}

type Add = (name: string, shape: readonly number[], scale: number) => TensorSlice

function addTensors(text: QwenTextConfig, add: Add): ExportItem[] {
  const { hiddenSize: h, vocabSize, expertCount, expertWidth: f, sharedExpertWidth: s } = text
  const items: ExportItem[] = []
  const tensor = (
    name: string,
    shape: readonly number[],
    scale: number,
    layerIndex: number | undefined,
    role: TensorRole = 'norm',
  ): void => {
    items.push({ kind: 'tensor', name, role, source: add(name, shape, scale), layerIndex })
  }
  tensor(`${PREFIX}.embed_tokens.weight`, [vocabSize, h], 1, undefined, 'embedding')
  for (const [layer, kind] of text.layerKinds.entries()) {
    const prefix = `${PREFIX}.layers.${String(layer)}.`
    for (const [name, shape, scale] of mixerTensors(text, kind)) {
      tensor(`${prefix}${name}`, shape, scale, layer)
    }
    tensor(`${prefix}mlp.gate.weight`, [expertCount, h], 1, layer)
    const experts = Array.from({ length: expertCount }, (_, expert) => {
      const name = `${prefix}mlp.experts.${String(expert)}`
      return {
        gate: add(`${name}.gate_proj.weight`, [f, h], 0.5),
        up: add(`${name}.up_proj.weight`, [f, h], 0.5),
        down: add(`${name}.down_proj.weight`, [h, f], 0.5),
      }
    })
    items.push({ kind: 'experts', module: `${prefix}mlp.experts`, layerIndex: layer, experts })
    tensor(`${prefix}mlp.shared_expert.gate_proj.weight`, [s, h], 0.5, layer)
    tensor(`${prefix}mlp.shared_expert.up_proj.weight`, [s, h], 0.5, layer)
    tensor(`${prefix}mlp.shared_expert.down_proj.weight`, [h, s], 0.5, layer)
    tensor(`${prefix}mlp.shared_expert_gate.weight`, [1, h], 0.5, layer)
    tensor(`${prefix}post_attention_layernorm.weight`, [h], 0.3, layer)
  }
  tensor(`${PREFIX}.norm.weight`, [h], 0.3, undefined, 'norm')
  tensor('lm_head.weight', [vocabSize, h], 0.5, undefined, 'lm_head')
  return items
}

function mixerTensors(text: QwenTextConfig, kind: MixerKind): [string, readonly number[], number][] {
  const h = text.hiddenSize
  const { headCount, kvHeadCount, headDim, linearValueHeadCount: valueHeads } = text
  const norm: [string, readonly number[], number] = ['input_layernorm.weight', [h], 0.3]
  if (kind === 'full_attention') {
    return [
      norm,
      ['self_attn.q_proj.weight', [2 * headCount * headDim, h], 0.5],
      ['self_attn.k_proj.weight', [kvHeadCount * headDim, h], 0.5],
      ['self_attn.v_proj.weight', [kvHeadCount * headDim, h], 0.5],
      ['self_attn.o_proj.weight', [h, headCount * headDim], 0.5],
      ['self_attn.q_norm.weight', [headDim], 0.3],
      ['self_attn.k_norm.weight', [headDim], 0.3],
    ]
  }
  const valueWidth = valueHeads * text.linearValueHeadDim
  const channels = 2 * text.linearKeyHeadCount * text.linearKeyHeadDim + valueWidth
  return [
    norm,
    ['linear_attn.dt_bias', [valueHeads], 1],
    ['linear_attn.A_log', [valueHeads], 1.5],
    ['linear_attn.conv1d.weight', [channels, 1, text.convKernelSize], 0.7],
    ['linear_attn.norm.weight', [text.linearValueHeadDim], 1],
    ['linear_attn.out_proj.weight', [h, valueWidth], 0.5],
    ['linear_attn.in_proj_qkv.weight', [channels, h], 0.5],
    ['linear_attn.in_proj_z.weight', [valueWidth, h], 0.5],
    ['linear_attn.in_proj_b.weight', [valueHeads, h], 0.5],
    ['linear_attn.in_proj_a.weight', [valueHeads, h], 0.5],
  ]
}

/** Multiples of 2^-7 below 2: exact in all three element types. */
function roundTo(dtype: MemoryDtype, value: number): number {
  return dtype === 'F32' ? Math.fround(value) : Math.round(value * 64) / 64
}

function write(bytes: Uint8Array<ArrayBuffer>, slice: TensorSlice, values: Float64Array): void {
  const view = new DataView(bytes.buffer, slice.offsetBytes, slice.sizeBytes)
  values.forEach((value, index) => {
    if (slice.dtype === 'F32') view.setFloat32(index * 4, value, true)
    else if (slice.dtype === 'BF16') view.setUint16(index * 2, bf16Bits(value), true)
    else view.setUint16(index * 2, f16Bits(value), true)
  })
}

function bf16Bits(value: number): number {
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, value)
  return view.getUint16(0)
}

/** For normal numbers with few significand bits, which is what roundTo gives, and zero. */
function f16Bits(value: number): number {
  if (value === 0) return 0
  const exponent = Math.floor(Math.log2(Math.abs(value)))
  const mantissa = (Math.abs(value) / 2 ** exponent - 1) * 1024
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | mantissa
}

/** Serves copies, remembers every unit, and overwrites what it gave out when the unit is released. */
export class MemoryReader implements WeightReader {
  readonly units: WeightUnit[] = []
  released = 0
  private readonly bytes: Uint8Array
  private given: Uint8Array[] = []

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  read(unit: WeightUnit): Promise<readonly Uint8Array[]> {
    this.units.push(unit)
    this.given = unit.slices.map(({ offsetBytes, sizeBytes }) =>
      this.bytes.slice(offsetBytes, offsetBytes + sizeBytes),
    )
    return Promise.resolve(this.given)
  }

  release(): void {
    this.released += 1
    for (const part of this.given) part.fill(0xff)
  }
}
