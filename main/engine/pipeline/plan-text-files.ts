/** The texts of an export: config.json, hf_quant_config.json where the dialect has one, and the index of several shards. */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { compressedTensorsConfig } from '../export/compressed-tensors-config.ts'
import { indexText } from '../export/index-file.ts'
import {
  configText,
  describeQuantization,
  hfQuantConfigText,
  quantizationConfig,
  type QuantizationDescription,
} from '../export/quantization-config.ts'
import type { JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { PlannedShard, PlannedTextFile } from './export-plan.ts'
import type { PlanDraft } from './plan-draft.ts'

/** Texts for a placed draft. `source` is the configuration of the checkpoint; an old quantization in it is replaced. */
export function planTextFiles(
  source: JsonObject,
  described: QuantizationDescription & { readonly dialect: DialectChoice },
  draft: PlanDraft,
  shards: readonly PlannedShard[],
): readonly PlannedTextFile[] {
  return [...quantizationFiles(source, described), ...indexFiles(draft, shards)]
}

function quantizationFiles(
  source: JsonObject,
  described: QuantizationDescription & { readonly dialect: DialectChoice },
): readonly PlannedTextFile[] {
  const fileName = 'config.json'
  if (described.dialect === 'compressed-tensors') {
    return [{ fileName, text: configText(source, compressedTensorsConfig(described)) }]
  }
  const quantization = describeQuantization(described)
  if (quantization === undefined) return [{ fileName, text: configText(source, undefined) }]
  return [
    { fileName, text: configText(source, quantizationConfig(quantization, described.profile)) },
    { fileName: 'hf_quant_config.json', text: hfQuantConfigText(quantization) },
  ]
}

function indexFiles(draft: PlanDraft, shards: readonly PlannedShard[]): readonly PlannedTextFile[] {
  if (shards.length <= 1) return []
  const tensors = draft.tensors.map(({ name, shardIndex }) => ({
    name,
    fileName: shards[shardIndex]?.fileName ?? '',
  }))
  const sizeBytes = draft.tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0)
  const text = indexText(tensors, { parameterCount: draft.parameterCount, sizeBytes })
  return [{ fileName: 'model.safetensors.index.json', text }]
}
