/** The checkpoint an export was made from, by the names of the export: fused experts are seen one by one. */
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { recogniseModel } from '../models/recognise-model.ts'

export interface SourceView {
  readonly checkpoint: Checkpoint
  readonly model: MoeModel
  /** BF16, F16 or F32 matrix of a module, experts included. */
  matrixOf(module: string): TensorSlice | undefined
}

/** Throws what recogniseModel throws. */
export function sourceView(checkpoint: Checkpoint): SourceView {
  const model = recogniseModel(checkpoint)
  const matrices = new Map<string, TensorSlice>()
  for (const item of model.exportOrder) {
    if (item.kind === 'linear') matrices.set(item.module, item.source)
    if (item.kind !== 'experts') continue
    for (const [expert, { gate, up, down }] of item.experts.entries()) {
      const module = `${item.module}.${String(expert)}`
      matrices.set(`${module}.gate_proj`, gate)
      matrices.set(`${module}.up_proj`, up)
      matrices.set(`${module}.down_proj`, down)
    }
  }
  return { checkpoint, model, matrixOf: (module) => matrices.get(module) }
}
