/** The forward pass of a model that is measured: nothing is observed, and inputs are rounded as the model says. */
import { ForwardPass } from '../calibration/forward-pass.ts'
import type { TokenBatch } from '../calibration/hidden-states.ts'
import type { StateMemory } from '../calibration/stored-states.ts'
import type { GraphRuntime } from '../onnx/graph-runtime.ts'
import type { EvaluatedModel } from './evaluated-model.ts'

export interface MeasureOptions {
  readonly runtime: GraphRuntime
  /** Where layers run whose inputs are rounded: a CPU, because rounding in graphs is exact there. Default: `runtime`. */
  readonly roundingRuntime?: GraphRuntime | undefined
  /** One result per group. */
  readonly windows: readonly TokenBatch[]
  readonly stateMemory?: StateMemory | undefined
}

/** Throws what cutting batches throws. */
export function evaluatedPass(
  evaluated: EvaluatedModel,
  { runtime, roundingRuntime, windows, stateMemory }: MeasureOptions,
): ForwardPass {
  const { model, reader } = evaluated
  return new ForwardPass({
    model,
    runtime,
    roundingRuntime,
    reader,
    batches: windows,
    shouldObserve: false,
    stateMemory,
    variantOf: (layerIndex) => evaluated.variantOf(layerIndex),
  })
}
