/**
 * Looks where the tokens of many samples would go, without collecting anything else: the forward pass of the model itself, because what a
 * router sees depends on the experts of all layers before it. Reads the weights once.
 */
import type { AmaxSink } from '../graph-cache.ts'
import { createForwardPass } from '../create-forward-pass.ts'
import type { TokenBatch } from '../hidden-states.ts'
import type { ForwardOptions, LayerControl } from '../layer-pass.ts'
import type { RoutingTable } from '../routing-table.ts'
import type { SampleCounts } from './choose-samples.ts'

const IGNORE: AmaxSink = () => undefined

export interface ScoutControl extends LayerControl {
  readonly onLayer?: (done: number, total: number) => void
}

/** Throws what a forward pass throws. */
export async function scoutRouting(
  options: Omit<ForwardOptions, 'batches' | 'shouldObserve' | 'shouldObserveChannels'>,
  batch: TokenBatch,
  control: ScoutControl = {},
): Promise<SampleCounts> {
  const { layerCount, expertCount, topK } = options.model.text
  const forward = await createForwardPass({ ...options, batches: [batch], shouldObserve: false })
  try {
    await forward.embed()
    const layers: Uint32Array[] = []
    for (let layer = 0; layer < layerCount; layer += 1) {
      const routing = await forward.runLayer(layer, IGNORE, control)
      layers.push(countBySample(routing, batch, expertCount, topK))
      control.onLayer?.(layer + 1, layerCount)
    }
    return { sampleCount: batch.batch, expertCount, layers }
  } finally {
    await forward.release()
  }
}

/** u32 [samples, experts] */
function countBySample(
  routing: RoutingTable,
  { batch, time }: TokenBatch,
  expertCount: number,
  topK: number,
): Uint32Array {
  const counts = new Uint32Array(batch * expertCount)
  for (let row = 0; row < batch * time; row += 1) {
    const { experts } = routing.choiceOf(row)
    const first = Math.floor(row / time) * expertCount
    for (let rank = 0; rank < topK; rank += 1) {
      const place = first + (experts[rank] ?? 0)
      counts[place] = (counts[place] ?? 0) + 1
    }
  }
  return counts
}
