/** Chooses where the activations of a forward pass live. */
import { ForwardPass } from './forward-pass.ts'
import type { ForwardOptions, LayerPass } from './layer-pass.ts'
import { ResidentForwardPass } from './resident/resident-forward-pass.ts'

/** On a GPU that keeps tensors, when everything fits there; otherwise on this side. Throws what checking the batches throws. */
export async function createForwardPass(options: ForwardOptions): Promise<LayerPass> {
  const resident = options.runtime.device === 'cpu' ? undefined : await ResidentForwardPass.create(options)
  return resident ?? new ForwardPass(options)
}
