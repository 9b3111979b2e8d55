/**
 * The checkpoint an export was made from, by the names of the export: fused experts are seen one by one, and weights that smoothing has
 * rewritten as they were then rounded.
 */
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { FoldMap } from '../smoothing/fold-map.ts'
import { resolveFold, type ResolvedFold } from '../smoothing/fold-values.ts'
import type { SmoothingVectors } from '../smoothing/smoothing.ts'
import { isFloat } from './read-floats.ts'
import { recogniseModel } from '../models/recognise-model.ts'

export interface SourceView {
  readonly checkpoint: Checkpoint
  readonly model: MoeModel
  /** BF16, F16 or F32 matrix of a module, experts included. */
  matrixOf(module: string): TensorSlice | undefined
  /** Whether the tensor of a module (its name without `.weight`) was rewritten, so that its values are not those of the source. */
  isFolded(module: string): boolean
  /** How smoothing rewrote a module; undefined = not, 'missing' = the record has no vectors that fit `original`. */
  foldOf(module: string, original: TensorSlice): ResolvedFold | 'missing' | undefined
}

/** `vectors` of the export's record; default none. Throws what recogniseModel throws. */
export function sourceView(checkpoint: Checkpoint, vectors: SmoothingVectors = new Map()): SourceView {
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
  const folds = new FoldMap(vectors.keys())
  return {
    checkpoint,
    model,
    matrixOf: (module) => matrices.get(module),
    isFolded: (module) => folds.foldOf(module) !== undefined,
    foldOf: (module, { dtype, shape }) => {
      const fold = folds.foldOf(module)
      if (fold === undefined) return undefined
      return (isFloat(dtype) ? resolveFold(fold, vectors, shape) : undefined) ?? 'missing'
    },
  }
}
