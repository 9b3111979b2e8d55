/** Measures a model, alone or against the one it was made from, layer by layer in one pass over the weights of each. */
import type { LayerQuality } from '../../../shared/domain/quality-report.ts'
import { createForwardPass } from '../calibration/create-forward-pass.ts'
import { evaluatePerplexity, type PerplexityResult } from '../calibration/evaluate-perplexity.ts'
import type { AmaxSink, GraphVariant } from '../calibration/graph-cache.ts'
import type { StateMemory } from '../calibration/stored-states.ts'
import { compareHeads, type HeadComparison } from './compare-heads.ts'
import type { EvaluatedModel } from './evaluated-model.ts'
import type { MeasureOptions } from './evaluated-pass.ts'
import { QualityStream } from './quality-stream.ts'
import { copyStates } from './state-rows.ts'

const IGNORE: AmaxSink = () => undefined

export interface MeasureControl {
  readonly isCancelled?: (() => boolean) | undefined
  readonly onLayer?: (done: number, total: number) => void
}

/** Perplexity of one model. Throws what ForwardPass and the model throw. */
export function measurePerplexity(
  evaluated: EvaluatedModel,
  { windows, ...options }: MeasureOptions,
  control: MeasureControl = {},
): Promise<readonly PerplexityResult[]> {
  const { model, reader } = evaluated
  const variantOf = (layerIndex: number | undefined): GraphVariant | undefined =>
    evaluated.variantOf(layerIndex)
  const prepare = (layerIndex: number | undefined): Promise<void> => evaluated.prepare(layerIndex)
  return evaluatePerplexity({ model, reader, variantOf, ...options }, windows, { ...control, prepare })
}

export interface Comparison {
  readonly layers: readonly LayerQuality[]
  readonly groups: readonly HeadComparison[]
  readonly all: HeadComparison
}

/** Both models side by side. `secondMemory` = for the states of the quantized one. Throws QUALITY_NOT_FINITE naming a layer. */
export async function compareModels(
  original: EvaluatedModel,
  quantized: EvaluatedModel,
  {
    runtime,
    roundingRuntime = runtime,
    windows,
    stateMemory,
    secondMemory,
  }: MeasureOptions & { readonly secondMemory?: StateMemory | undefined },
  control: MeasureControl = {},
): Promise<Comparison> {
  const { model, reader } = original
  const batches = windows
  const first = await createForwardPass({
    model,
    runtime,
    reader,
    batches,
    shouldObserve: false,
    stateMemory,
  })
  const second = new QualityStream({
    quantized,
    runtime,
    roundingRuntime,
    windows,
    stateMemory: secondMemory,
  })
  try {
    const { layerCount, hiddenSize } = model.text
    await original.prepare(undefined)
    await first.embed()
    await second.embed()
    const layers: LayerQuality[] = []
    for (let layer = 0; layer < layerCount; layer += 1) {
      await original.prepare(layer)
      await first.runLayer(layer, IGNORE, { ...control, watch: second.watch })
      await first.readStates()
      layers.push(await second.runLayer(layer, first.batches, control))
      control.onLayer?.(layer + 1, layerCount)
    }
    await original.prepare(undefined)
    await quantized.prepare(undefined)
    const side = {
      model,
      reader,
      copyRows: (firstRow: number, target: Float32Array) => {
        copyStates(first.batches, hiddenSize, firstRow, target)
      },
    }
    const other = second.headSide()
    const on = other.variant === undefined ? runtime : roundingRuntime
    return { layers, ...(await compareHeads(on, side, other, windows, control)) }
  } finally {
    await first.release()
    await second.release()
  }
}
