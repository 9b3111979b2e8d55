/** The forward pass of a model that is measured: nothing is observed, and inputs are rounded as the model says. */
import { ForwardPass } from '../calibration/forward-pass.ts'
import type { TokenBatch } from '../calibration/hidden-states.ts'
import type { StateMemory } from '../calibration/stored-states.ts'
import type { GraphRuntime } from '../onnx/graph-runtime.ts'
import type { EvaluatedModel } from './evaluated-model.ts'

export interface MeasureOptions {
  readonly runtime: GraphRuntime
  /** One result per group. */
  readonly windows: readonly TokenBatch[]
  readonly stateMemory?: StateMemory | undefined
}

/** Throws what cutting batches throws. */
export function evaluatedPass(
  evaluated: EvaluatedModel,
  { runtime, windows, stateMemory }: MeasureOptions,
): ForwardPass {
  const { model, reader } = evaluated
  return new ForwardPass({
    model,
    runtime,
    reader,
    batches: windows,
    shouldObserve: false,
    stateMemory,
    variantOf: (layerIndex) => evaluated.variantOf(layerIndex),
  })
}
