/** Chooses where the activations of a forward pass live, and what happens when a GPU gives up. */
import { ForwardPass } from './forward-pass.ts'
import type { ForwardOptions, LayerPass } from './layer-pass.ts'
import { ResidentForwardPass } from './resident/resident-forward-pass.ts'
import { ResilientPass } from './resilient-pass.ts'

/** On a GPU that keeps tensors, when everything fits there; otherwise on this side. Throws what checking the batches throws. */
export async function createForwardPass(options: ForwardOptions): Promise<LayerPass> {
  // Rounding needs the states on this side.
  const isHere = options.runtime.device === 'cpu' || options.roundingRuntime !== undefined
  if (isHere) return new ForwardPass(options)
  if (options.fallback === undefined) return createPass(options)
  return ResilientPass.create(options, options.fallback, createPass)
}

async function createPass(options: ForwardOptions): Promise<LayerPass> {
  const { device } = options.runtime
  if (device === 'cpu') return new ForwardPass(options)
  const resident = await ResidentForwardPass.create(options)
  if (resident !== undefined) return resident
  options.fallback?.onNotice(
    `the activations cannot stay on ${device}; they are moved for every run, which is slower`,
  )
  const reader = await options.fallback?.plainReader()
  return new ForwardPass({ ...options, reader: reader ?? options.reader })
}
