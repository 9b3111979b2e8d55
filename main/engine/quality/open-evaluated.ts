/** Opens a folder for measuring: an export with what it declares, or an unquantized checkpoint. Reads headers only. */
import type { ExpertInputArithmetic } from '../../../shared/domain/quality-report.ts'
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import type { WeightReader } from '../calibration/weight-reader.ts'
import type { CheckpointFolder } from '../io/ports.ts'
import { recogniseModel } from '../models/recognise-model.ts'
import { expectedModel } from '../verify/expected-model.ts'
import { openExport } from '../verify/open-export.ts'
import { fittingDeclaration, readDeclarations } from '../verify/read-declarations.ts'
import { ExportedModel, plainModel, type EvaluatedModel, type ExportSource } from './evaluated-model.ts'
import { layerOf } from './float-model.ts'

export interface OpenedModel {
  readonly evaluated: EvaluatedModel
  readonly checkpoint: Checkpoint
  /** False for an unquantized checkpoint. */
  readonly isExport: boolean
}

/**
 * `readerOf` makes the reader of an unquantized checkpoint from its weight files, in the order of its shards. Throws what openExport,
 * recogniseModel and the readers of declarations throw, and what is wrong with the index.
 * `knownScales` of an export: see ExportSource.
 */
export async function openEvaluated(
  folder: CheckpointFolder,
  expertInputs: ExpertInputArithmetic,
  readerOf: (fileNames: readonly string[]) => WeightReader,
  knownScales?: ExportSource['knownScales'],
): Promise<OpenedModel> {
  const opened = await openExport(folder)
  const { checkpoint, indexProblems } = opened
  const declarations = readDeclarations(opened)
  if (declarations.length === 0) {
    const [problem] = indexProblems
    if (problem !== undefined) throw problem
    const reader = readerOf(checkpoint.shards.map(({ fileName }) => fileName))
    return { evaluated: plainModel(recogniseModel(checkpoint), reader), checkpoint, isExport: false }
  }
  const expected = expectedModel(checkpoint)
  const byLayer = tensorsByLayer(expected.prefix, checkpoint.tensors)
  const evaluated = new ExportedModel({
    expected,
    declaration: fittingDeclaration(declarations, expected, checkpoint.tensors),
    files: checkpoint,
    tensorsOf: (layerIndex) => byLayer.get(layerIndex) ?? new Map(),
    knownScales,
    expertInputs,
    smoothing: opened.smoothing?.vectors,
  })
  return { evaluated, checkpoint, isExport: true }
}

export function tensorsByLayer(
  prefix: string,
  tensors: ReadonlyMap<string, TensorSlice>,
): ReadonlyMap<number | undefined, ReadonlyMap<string, TensorSlice>> {
  const byLayer = new Map<number | undefined, Map<string, TensorSlice>>()
  for (const [name, tensor] of tensors) {
    const layer = layerOf(prefix, name)
    const present = byLayer.get(layer)
    if (present === undefined) byLayer.set(layer, new Map([[name, tensor]]))
    else present.set(name, tensor)
  }
  return byLayer
}
