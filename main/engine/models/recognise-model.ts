/** Finds the family adapter of a checkpoint, or says by name what the checkpoint is and why it is refused. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { asNumber, asObject, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { MoeModel } from './moe-model.ts'
import { recogniseQwen } from './qwen3_5-moe/recognise-qwen.ts'

const SUPPORTED = ['Qwen3_5MoeForConditionalGeneration', 'Qwen3_5MoeForCausalLM']
const SUPPORTED_TYPES = ['qwen3_5_moe', 'qwen3_5_moe_text']

/** Models that look like the supported family and are not. */
const LOOK_ALIKES: Readonly<Record<string, string>> = {
  qwen3_5: 'a dense Qwen3.5 model without experts',
  qwen3_5_text: 'a dense Qwen3.5 model without experts',
  qwen4_exp: 'qwen4_exp, whose attention and residual streams are different',
  qwen3_next: 'Qwen3-Next, whose linear attention stores its projections differently',
  qwen3_moe: 'Qwen3-MoE, which has no linear attention',
  qwen3_vl_moe: 'Qwen3-VL-MoE, whose fused experts are stored transposed',
  qwen2_moe: 'Qwen2-MoE, which has no linear attention',
}

/**
 * The adapter's view of the checkpoint. Decided by `architectures[0]`, or `model_type` without it; a name alone is not believed: the
 * configuration must have experts and the weights must not be dense or quantized.
 * Throws ARCHITECTURE_UNSUPPORTED naming what the checkpoint is, and everything the adapter throws.
 */
export function recogniseModel(checkpoint: Checkpoint): MoeModel {
  const { config } = checkpoint
  const architecture = Array.isArray(config['architectures']) ? text(config['architectures'][0]) : undefined
  const modelType = text(config['model_type'])
  const lookAlike = LOOK_ALIKES[modelType ?? ''] ?? lookAlikeByName(architecture)
  const isSupported =
    architecture === undefined ? SUPPORTED_TYPES.includes(modelType ?? '') : SUPPORTED.includes(architecture)
  if (lookAlike !== undefined || !isSupported) {
    throw unsupported(architecture ?? modelType ?? 'no architecture', lookAlike ?? 'another model family')
  }
  const name = architecture ?? modelType ?? ''
  const textConfig = asObject(config['text_config']) ?? config
  const expertCount = textConfig['num_experts'] ?? null
  if (expertCount === null || asNumber(expertCount) === 0 || hasDenseMlp(checkpoint)) {
    throw unsupported(name, 'a dense model without experts')
  }
  for (const key of ['quantization_config', 'compression_config']) {
    if ((config[key] ?? textConfig[key] ?? null) !== null) {
      throw unsupported(name, `already quantized (config.json has a ${key})`)
    }
  }
  return recogniseQwen(checkpoint, name)
}

/** A decoder layer whose MLP is one matrix triple: a dense model under the name of the sparse one. */
function hasDenseMlp({ tensors }: Checkpoint): boolean {
  for (const name of tensors.keys()) {
    if (!name.startsWith('mtp.') && /\.layers\.\d+\.mlp\.gate_proj\.weight$/.test(name)) return true
  }
  return false
}

function lookAlikeByName(architecture: string | undefined): string | undefined {
  if (architecture === undefined) return undefined
  if (/^Qwen3_5For/.test(architecture)) return LOOK_ALIKES['qwen3_5']
  if (/^Qwen4Exp/.test(architecture)) return LOOK_ALIKES['qwen4_exp']
  return undefined
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
