/** Family adapter for qwen3_5_moe: roles, modules, fusion groups and export order of a checkpoint. Source: released checkpoints. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import { asObject, type JsonObject } from '../../formats/hf-config/lossless-json.ts'
import type { ExpertLayout, ExportItem, ModelProblem, MoeModel, QuantizableModule } from '../moe-model.ts'
import {
  isMtp,
  isVision,
  mtpLayout,
  mtpPrefixes,
  orderMtp,
  orderVision,
  visionModules,
} from './carried-tensors.ts'
import { readExperts } from './expert-slices.ts'
import { readTextConfig } from './read-text-config.ts'
import { TensorClaims } from './tensor-claims.ts'
import {
  FUSION_GROUPS,
  MIXER_MODULES,
  mixerTensors,
  routerTensor,
  tensorsAfterExperts,
  type ExpectedTensor,
} from './tensor-shapes.ts'
import type { QwenTextConfig } from './text-config.ts'

const PREFIXES = ['model.language_model', 'model', 'language_model.model'] as const

interface Building {
  readonly claims: TensorClaims
  readonly config: QwenTextConfig
  readonly prefix: string
  readonly items: ExportItem[]
  readonly modules: QuantizableModule[]
  readonly groups: string[][]
  readonly routers: QuantizableModule[]
  readonly layouts: Set<ExpertLayout>
}

/** Throws what readTextConfig and TensorClaims throw, and TENSOR_NAME_UNKNOWN for decoder layers the configuration does not have. */
export function recogniseQwen(checkpoint: Checkpoint, architecture: string): MoeModel {
  const nested = asObject(checkpoint.config['text_config'])
  const text: JsonObject = nested ?? checkpoint.config
  const isTied = (checkpoint.config['tie_word_embeddings'] ?? text['tie_word_embeddings']) === true
  const config = readTextConfig(text, isTied)
  const prefix = detectPrefix(checkpoint)
  const building: Building = {
    claims: new TensorClaims(checkpoint.tensors),
    config,
    prefix,
    items: [],
    modules: [],
    groups: [],
    routers: [],
    layouts: new Set(),
  }
  const vision = addVision(building, checkpoint)
  addTensor(building, `${prefix}.embed_tokens.weight`, [config.vocabSize, config.hiddenSize], 'embedding')
  building.modules.push({ name: `${prefix}.embed_tokens`, kind: 'embedding', layerIndex: undefined })
  for (let layer = 0; layer < config.layerCount; layer += 1) addLayer(building, layer)
  addTensor(building, `${prefix}.norm.weight`, [config.hiddenSize], 'norm')
  addHead(building)
  building.modules.push(...building.routers)
  const problems = addUnknown(building)
  const mtp = orderMtp(checkpoint)
  for (const source of mtp) {
    building.claims.carry(source.name, 'mtp')
    building.items.push({ kind: 'tensor', name: source.name, role: 'mtp', source, layerIndex: undefined })
  }
  const mtpNames = mtp.map(({ name }) => name)
  return {
    family: 'qwen3_5_moe',
    architecture,
    prefix,
    text: config,
    expertLayout: building.layouts.has('fused') ? 'fused' : 'per_expert',
    mtpLayout: mtpLayout(mtpNames),
    hasVision: vision > 0,
    modules: building.modules,
    fusionGroups: building.groups,
    exportOrder: building.items,
    mtpPrefixes: mtpPrefixes(mtpNames),
    roles: building.claims.roles,
    problems: [...problems, ...configProblems(checkpoint, mtpNames.length)],
  }
}

function detectPrefix({ tensors }: Checkpoint): string {
  const found = PREFIXES.find(
    (prefix) => tensors.has(`${prefix}.embed_tokens.weight`) || tensors.has(`${prefix}.norm.weight`),
  )
  if (found === undefined) {
    throw new AppError('TENSOR_MISSING', {
      subject: `${PREFIXES[0]}.embed_tokens.weight`,
      problem: `no text tower found under ${PREFIXES.join(', ')}`,
      remedy: 'get a complete copy of the checkpoint',
    })
  }
  return found
}

function addVision({ claims, items, modules }: Building, checkpoint: Checkpoint): number {
  const ordered = orderVision([...checkpoint.tensors.values()].filter(({ name }) => isVision(name)))
  for (const source of ordered) {
    claims.carry(source.name, 'vision')
    items.push({ kind: 'tensor', name: source.name, role: 'vision', source, layerIndex: undefined })
  }
  modules.push(...visionModules(ordered))
  return ordered.length
}

function addTensor(
  { claims, items }: Building,
  name: string,
  shape: readonly number[],
  role: 'embedding' | 'norm' | 'lm_head',
): void {
  items.push({ kind: 'tensor', name, role, source: claims.take(name, shape, role), layerIndex: undefined })
}

function addLayer(building: Building, layerIndex: number): void {
  const { claims, config, prefix, items, modules, groups } = building
  const layer = `${prefix}.layers.${String(layerIndex)}`
  const kind = config.layerKinds[layerIndex] ?? 'linear_attention'
  for (const expected of mixerTensors(kind, config)) {
    addExpected(building, layer, layerIndex, expected)
    if (expected.name === 'self_attn.k_norm.weight') {
      items.push({ kind: 'kv_cache', module: `${layer}.self_attn`, layerIndex })
    }
  }
  for (const name of MIXER_MODULES[kind]) {
    modules.push({ name: `${layer}.${name}`, kind: name.endsWith('conv1d') ? 'conv' : 'linear', layerIndex })
  }
  addExpected(building, layer, layerIndex, routerTensor(config))
  building.routers.push({ name: `${layer}.mlp.gate`, kind: 'router', layerIndex })
  const module = `${layer}.mlp.experts`
  const { layout, experts } = readExperts(claims, module, config)
  building.layouts.add(layout)
  items.push({ kind: 'experts', module, layerIndex, experts })
  modules.push({ name: module, kind: 'experts', layerIndex })
  for (const expected of tensorsAfterExperts(config)) {
    addExpected(building, layer, layerIndex, expected)
    if (expected.isLinear) modules.push({ name: moduleName(layer, expected), kind: 'linear', layerIndex })
  }
  groups.push(
    FUSION_GROUPS[kind].map((name) => `${layer}.${name}`),
    FUSION_GROUPS.mlp.map((name) => `${layer}.${name}`),
  )
}

function addExpected(
  { claims, items }: Building,
  layer: string,
  layerIndex: number,
  expected: ExpectedTensor,
): void {
  const name = `${layer}.${expected.name}`
  const source = claims.take(name, expected.shape, expected.role)
  if (expected.isLinear) {
    items.push({
      kind: 'linear',
      module: moduleName(layer, expected),
      role: expected.role,
      source,
      layerIndex,
    })
  } else items.push({ kind: 'tensor', name, role: expected.role, source, layerIndex })
}

function moduleName(layer: string, { name }: ExpectedTensor): string {
  return `${layer}.${name.slice(0, -'.weight'.length)}`
}

/** Tools that put `language_model.` in front of everything put it in front of the head, too. */
const HEAD_MODULES = ['lm_head', 'language_model.lm_head']

/** A tied head is the embedding and is not stored; one that is stored all the same travels along. */
function addHead({ claims, config, items, modules }: Building): void {
  const module = HEAD_MODULES.find((name) => claims.has(`${name}.weight`)) ?? 'lm_head'
  const shape = [config.vocabSize, config.hiddenSize]
  if (config.tieWordEmbeddings && !claims.has(`${module}.weight`)) return
  const source = claims.take(`${module}.weight`, shape, 'lm_head')
  items.push({ kind: 'linear', module, role: 'lm_head', source, layerIndex: undefined })
  modules.push({ name: module, kind: 'linear', layerIndex: undefined })
}

/** Tensors the family does not know: a surplus decoder layer is an error, anything else is carried over and reported. */
function addUnknown({ claims, prefix, config, items }: Building): readonly ModelProblem[] {
  const unknown = claims.unclaimed().filter(({ name }) => !isMtp(name))
  const surplus = unknown.find(({ name }) => name.startsWith(`${prefix}.layers.`))
  if (surplus !== undefined) {
    throw new AppError('TENSOR_NAME_UNKNOWN', {
      subject: surplus.name,
      problem: `a decoder layer of this configuration (${String(config.layerCount)} layers) has no such tensor`,
      remedy: 'use weights and config.json of the same model',
    })
  }
  for (const source of unknown) {
    claims.carry(source.name, 'other')
    items.push({ kind: 'tensor', name: source.name, role: 'other', source, layerIndex: undefined })
  }
  return unknown.map(({ name }) => ({
    severity: 'warning',
    subject: name,
    message: 'unknown tensor; it is carried over unchanged',
  }))
}

function configProblems(checkpoint: Checkpoint, mtpTensorCount: number): readonly ModelProblem[] {
  const problems: ModelProblem[] = []
  if (!checkpoint.sideFiles.some(({ name }) => name === 'tokenizer.json')) {
    problems.push({
      severity: 'warning',
      subject: 'tokenizer.json',
      message: 'missing: calibration on text is not possible',
    })
  }
  const vision = asObject(checkpoint.config['vision_config'])
  if (vision !== undefined && ![...checkpoint.tensors.keys()].some(isVision)) {
    problems.push({
      severity: 'warning',
      subject: 'model.visual',
      message: 'config.json has a vision tower, the weights do not',
    })
  }
  if (mtpTensorCount === 0) {
    problems.push({
      severity: 'warning',
      subject: 'mtp',
      message: 'no multi-token-prediction block: speculative decoding will not be available',
    })
  }
  return problems
}
