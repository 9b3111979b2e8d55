/** Finds the family adapter of a checkpoint, or says by name what the checkpoint is and why it is refused. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { asNumber, asObject, type JsonObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { MoeModel } from './moe-model.ts'
import { recogniseQwen } from './qwen3_5-moe/recognise-qwen.ts'

const SUPPORTED = ['Qwen3_5MoeForConditionalGeneration', 'Qwen3_5MoeForCausalLM']
const SUPPORTED_TYPES = ['qwen3_5_moe', 'qwen3_5_moe_text']

const DENSE = 'a dense model without experts'
const QWEN4_EXP = 'qwen4_exp, whose attention and residual streams are different'
/** Models that look like the supported family and are not, by model_type. */
const LOOK_ALIKES: ReadonlyMap<string, string> = new Map([
  ['qwen3_5', DENSE],
  ['qwen3_5_text', DENSE],
  ['qwen4_exp', QWEN4_EXP],
  ['qwen4_exp_text', QWEN4_EXP],
  ['qwen3_next', 'Qwen3-Next, whose linear attention stores its projections differently'],
  ['qwen3_moe', 'Qwen3-MoE, which has no linear attention'],
  ['qwen3_vl_moe', 'Qwen3-VL-MoE, whose fused experts are stored transposed'],
  ['qwen2_moe', 'Qwen2-MoE, which has no linear attention'],
])

/**
 * The adapter's view of the checkpoint. Decided by `architectures[0]`, or `model_type` without it; a name alone is not believed: the
 * configuration must have experts and the weights must not be dense or quantized.
 * Throws ARCHITECTURE_UNSUPPORTED naming what the checkpoint is, and everything the adapter throws.
 */
export function recogniseModel(checkpoint: Checkpoint): MoeModel {
  const { architecture, modelType } = readNames(checkpoint.config)
  const name = architecture ?? modelType ?? 'no architecture'
  const obstacle =
    lookAlike(architecture, modelType) ?? denseWeights(checkpoint) ?? quantization(checkpoint.config)
  if (obstacle !== undefined) throw unsupported(name, obstacle)
  return recogniseQwen(checkpoint, name)
}

/**
 * Architecture by the configuration alone, for checkpoints that are already quantized.
 * Throws ARCHITECTURE_UNSUPPORTED naming what the checkpoint is.
 */
export function supportedArchitecture(config: JsonObject): string {
  const { architecture, modelType } = readNames(config)
  const name = architecture ?? modelType ?? 'no architecture'
  const expertCount = (asObject(config['text_config']) ?? config)['num_experts'] ?? null
  const obstacle =
    lookAlike(architecture, modelType) ??
    (expertCount === null || asNumber(expertCount) === 0 ? DENSE : undefined)
  if (obstacle !== undefined) throw unsupported(name, obstacle)
  return name
}

interface ModelNames {
  readonly architecture: string | undefined
  readonly modelType: string | undefined
}

function readNames(config: JsonObject): ModelNames {
  const listed = config['architectures']
  return {
    architecture: Array.isArray(listed) ? text(listed[0]) : undefined,
    modelType: text(config['model_type']),
  }
}

/** What the names say it is; undefined when they say that it is supported. */
function lookAlike(architecture: string | undefined, modelType: string | undefined): string | undefined {
  if (architecture?.startsWith('Qwen3_5For') === true) return DENSE
  if (architecture?.startsWith('Qwen4Exp') === true) return QWEN4_EXP
  const known = LOOK_ALIKES.get(modelType ?? '')
  if (known !== undefined) return known
  const isSupported =
    architecture === undefined ? SUPPORTED_TYPES.includes(modelType ?? '') : SUPPORTED.includes(architecture)
  return isSupported ? undefined : 'another model family'
}

/** A dense model under the name of the sparse one: no experts configured, or a decoder layer whose MLP is one matrix triple. */
function denseWeights({ config, tensors }: Checkpoint): string | undefined {
  const expertCount = (asObject(config['text_config']) ?? config)['num_experts'] ?? null
  if (expertCount === null || asNumber(expertCount) === 0) return DENSE
  for (const name of tensors.keys()) {
    if (!name.startsWith('mtp.') && /\.layers\.\d+\.mlp\.gate_proj\.weight$/.test(name)) return DENSE
  }
  return undefined
}

function quantization(config: JsonObject): string | undefined {
  const textConfig = asObject(config['text_config'])
  const key = ['quantization_config', 'compression_config'].find(
    (candidate) => (config[candidate] ?? textConfig?.[candidate] ?? null) !== null,
  )
  return key === undefined ? undefined : `already quantized (config.json has a ${key})`
}

function unsupported(name: string, what: string): AppError {
  return new AppError('ARCHITECTURE_UNSUPPORTED', {
    subject: `config.json: ${name}`,
    problem: `this is ${what}`,
    remedy: `use a BF16 checkpoint of ${SUPPORTED.join(' or ')}`,
  })
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' ? value : undefined
}
