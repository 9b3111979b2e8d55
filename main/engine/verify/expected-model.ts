/**
 * What an export of a qwen3_5_moe configuration must contain, from the configuration alone: units that a format applies to, tensors that
 * stay as they are, modules an exclude list has to cover. Vision modules are read from the tensors, because the tower is carried over.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { asNumber, asObject, type JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { QuantizableModule } from '../models/moe-model.ts'
import { isVision, orderVision, visionModules } from '../models/qwen3_5-moe/carried-tensors.ts'
import { readTextConfig } from '../models/qwen3_5-moe/read-text-config.ts'
import {
  FUSION_GROUPS,
  mixerTensors,
  routerTensor,
  tensorsAfterExperts,
  type ExpectedTensor,
} from '../models/qwen3_5-moe/tensor-shapes.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import { supportedArchitecture } from '../models/recognise-model.ts'

/** A matrix that can be stored quantized. */
export interface ExpectedMatrix {
  readonly module: string
  readonly rows: number
  readonly cols: number
  /** Axis that tensor-parallel ranks divide: `column` = output rows, `row` = input columns. */
  readonly parallel: 'column' | 'row' | 'none'
}

/** What one entry of a configuration decides on: a linear, or all experts of a layer. */
export interface ExpectedUnit {
  readonly name: string
  readonly kind: 'linear' | 'experts'
  /** For experts gate, up, down of expert 0, then of expert 1, and so on. */
  readonly matrices: readonly ExpectedMatrix[]
}

export interface PlainTensor {
  readonly name: string
  readonly shape: readonly number[]
}

export interface ExpectedModel {
  readonly architecture: string
  readonly prefix: string
  readonly text: QwenTextConfig
  readonly units: readonly ExpectedUnit[]
  readonly plain: readonly PlainTensor[]
  /** Modules without a format that an exclude list must cover all the same. */
  readonly unquantizable: readonly Pick<QuantizableModule, 'name' | 'kind'>[]
  /** Linears that engines fuse. */
  readonly groups: readonly (readonly string[])[]
  /** `….self_attn` of every full-attention layer. */
  readonly kvModules: readonly string[]
  readonly mtpLayerCount: number
  readonly hasVisionConfig: boolean
}

const PREFIXES = ['model.language_model', 'model', 'language_model.model']
const HEADS = ['lm_head', 'language_model.lm_head']
const ROW_PARALLEL = /\.(o_proj|out_proj|down_proj)$/
/** CWE-770: matrices of routed experts that a configuration may claim; the largest released model has 141,312. */
const MAX_EXPERT_MATRICES = 1_000_000
/** Engines fuse these two as well; adapters never quantize them, other tools may. */
const BETA_AND_DECAY = ['linear_attn.in_proj_b', 'linear_attn.in_proj_a']

/** Throws ARCHITECTURE_UNSUPPORTED and CONFIG_INVALID. */
export function expectedModel(checkpoint: Checkpoint): ExpectedModel {
  const { config, tensors } = checkpoint
  const architecture = supportedArchitecture(config)
  const textConfig: JsonObject = asObject(config['text_config']) ?? config
  const isTied = (config['tie_word_embeddings'] ?? textConfig['tie_word_embeddings']) === true
  const text = readTextConfig(textConfig, isTied)
  if (text.layerCount * text.expertCount * 3 > MAX_EXPERT_MATRICES) {
    throw new AppError('CONFIG_INVALID', {
      subject: 'config.json: num_experts',
      problem: `${String(text.expertCount)} experts in ${String(text.layerCount)} layers are more than any model has`,
      remedy: 'get an undamaged copy of config.json',
    })
  }
  const building = new ModelBuilding(detectPrefix(checkpoint), text)
  building.addPlain(`${building.prefix}.embed_tokens.weight`, [text.vocabSize, text.hiddenSize])
  building.unquantizable.push({ name: `${building.prefix}.embed_tokens`, kind: 'embedding' })
  for (let layer = 0; layer < text.layerCount; layer += 1) building.addLayer(layer)
  building.addPlain(`${building.prefix}.norm.weight`, [text.hiddenSize])
  const head = HEADS.find((name) => tensors.has(`${name}.weight`) || tensors.has(`${name}.weight_packed`))
  if (head !== undefined || !isTied) building.addLinear(head ?? 'lm_head', text.vocabSize, text.hiddenSize)
  const vision = orderVision([...tensors.values()].filter(({ name }) => isVision(name)))
  building.unquantizable.push(...visionModules(vision))
  return {
    architecture,
    prefix: building.prefix,
    text,
    units: building.units,
    plain: building.plain,
    unquantizable: building.unquantizable,
    groups: building.groups,
    kvModules: building.kvModules,
    mtpLayerCount: Math.min(16, Math.max(0, asNumber(textConfig['mtp_num_hidden_layers']) ?? 0)),
    hasVisionConfig: asObject(config['vision_config']) !== undefined,
  }
}

function detectPrefix({ config, tensors }: Checkpoint): string {
  const found = PREFIXES.find(
    (prefix) => tensors.has(`${prefix}.embed_tokens.weight`) || tensors.has(`${prefix}.norm.weight`),
  )
  return found ?? (asObject(config['text_config']) === undefined ? 'model' : 'model.language_model')
}

class ModelBuilding {
  readonly units: ExpectedUnit[] = []
  readonly plain: PlainTensor[] = []
  readonly unquantizable: Pick<QuantizableModule, 'name' | 'kind'>[] = []
  readonly groups: (readonly string[])[] = []
  readonly kvModules: string[] = []
  readonly prefix: string
  private readonly text: QwenTextConfig

  constructor(prefix: string, text: QwenTextConfig) {
    this.prefix = prefix
    this.text = text
  }

  addPlain(name: string, shape: readonly number[]): void {
    this.plain.push({ name, shape })
  }

  addLinear(name: string, rows: number, cols: number): void {
    this.units.push({ name, kind: 'linear', matrices: [matrix(name, rows, cols)] })
  }

  addLayer(layerIndex: number): void {
    const layer = `${this.prefix}.layers.${String(layerIndex)}`
    const kind = this.text.layerKinds[layerIndex] ?? 'linear_attention'
    for (const expected of mixerTensors(kind, this.text)) this.addExpected(layer, expected)
    if (kind === 'full_attention') this.kvModules.push(`${layer}.self_attn`)
    else {
      this.unquantizable.push({ name: `${layer}.linear_attn.conv1d`, kind: 'conv' })
      this.groups.push(BETA_AND_DECAY.map((name) => `${layer}.${name}`))
    }
    this.addExpected(layer, routerTensor(this.text))
    this.unquantizable.push({ name: `${layer}.mlp.gate`, kind: 'router' })
    this.addExperts(`${layer}.mlp.experts`)
    for (const expected of tensorsAfterExperts(this.text)) this.addExpected(layer, expected)
    for (const group of [FUSION_GROUPS[kind], FUSION_GROUPS.mlp]) {
      this.groups.push(group.map((name) => `${layer}.${name}`))
    }
  }

  private addExpected(layer: string, { name, shape, isLinear }: ExpectedTensor): void {
    const [rows = 1, cols = 1] = shape
    if (isLinear) this.addLinear(`${layer}.${name.slice(0, -'.weight'.length)}`, rows, cols)
    else this.addPlain(`${layer}.${name}`, shape)
  }

  private addExperts(name: string): void {
    const { expertCount, expertWidth: f, hiddenSize: h } = this.text
    const matrices: ExpectedMatrix[] = []
    for (let expert = 0; expert < expertCount; expert += 1) {
      const module = `${name}.${String(expert)}`
      matrices.push(
        { module: `${module}.gate_proj`, rows: f, cols: h, parallel: 'column' },
        { module: `${module}.up_proj`, rows: f, cols: h, parallel: 'column' },
        { module: `${module}.down_proj`, rows: h, cols: f, parallel: 'row' },
      )
    }
    this.units.push({ name, kind: 'experts', matrices })
  }
}

function matrix(module: string, rows: number, cols: number): ExpectedMatrix {
  const isShared = module.endsWith('shared_expert_gate')
  return { module, rows, cols, parallel: isShared ? 'none' : ROW_PARALLEL.test(module) ? 'row' : 'column' }
}
