/** What the window and `inspect` show of a checkpoint. Pure; weights are not needed. */
import type { CheckpointSummary, RoleBytes } from '../../../shared/domain/checkpoint-summary.ts'
import { elementCount, type Dtype } from '../../../shared/domain/dtype.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { Checkpoint } from './checkpoint.ts'

/** Counts and byte sizes of an opened checkpoint; every tensor counts once, under its role (`other` when the family does not know it). */
export function summariseCheckpoint(checkpoint: Checkpoint, model: MoeModel): CheckpointSummary {
  const { text } = model
  const path = checkpoint.folder.displayPath
  return {
    name: path.split(/[/\\]/).filter(Boolean).at(-1) ?? path,
    displayPath: path,
    family: model.family,
    architecture: model.architecture,
    prefix: model.prefix,
    expertLayout: model.expertLayout,
    mtpLayout: model.mtpLayout,
    hasVision: model.hasVision,
    layerCount: text.layerCount,
    layerKinds: text.layerKinds,
    expertCount: text.expertCount,
    topK: text.topK,
    hiddenSize: text.hiddenSize,
    expertWidth: text.expertWidth,
    vocabSize: text.vocabSize,
    tensorCount: checkpoint.tensors.size,
    parameterCount: [...checkpoint.tensors.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0),
    totalBytes: checkpoint.totalTensorBytes,
    bytesByRole: bytesByRole(checkpoint, model),
    bytesByDtype: bytesByDtype(checkpoint),
    shards: checkpoint.shards.map(({ fileName, fileSizeBytes, tensors }) => ({
      fileName,
      sizeBytes: fileSizeBytes,
      tensorCount: tensors.length,
    })),
    sideFiles: checkpoint.sideFiles.map(({ name, sizeBytes }) => ({ fileName: name, sizeBytes })),
    hasTokenizer: checkpoint.sideFiles.some(({ name }) => name === 'tokenizer.json'),
    problems: model.problems,
  }
}

function bytesByRole(checkpoint: Checkpoint, model: MoeModel): readonly RoleBytes[] {
  const totals = new Map<string, { tensorCount: number; sizeBytes: number }>()
  for (const { name, sizeBytes } of checkpoint.tensors.values()) {
    const role = model.roles.get(name) ?? 'other'
    const total = totals.get(role) ?? { tensorCount: 0, sizeBytes: 0 }
    totals.set(role, { tensorCount: total.tensorCount + 1, sizeBytes: total.sizeBytes + sizeBytes })
  }
  return [...totals].map(([role, total]) => ({ role, ...total })).sort((a, b) => b.sizeBytes - a.sizeBytes)
}

function bytesByDtype(checkpoint: Checkpoint): CheckpointSummary['bytesByDtype'] {
  const totals = new Map<Dtype, number>()
  for (const { dtype, sizeBytes } of checkpoint.tensors.values())
    totals.set(dtype, (totals.get(dtype) ?? 0) + sizeBytes)
  return [...totals]
    .map(([dtype, sizeBytes]) => ({ dtype, sizeBytes }))
    .sort((a, b) => b.sizeBytes - a.sizeBytes)
}
