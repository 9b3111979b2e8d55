/** Hidden states on the device, one run of a graph at a time. */
import { invariant } from '../../../../shared/errors/app-error.ts'
import type { DeviceTensor } from '../../onnx/graph-runtime.ts'
import type { TokenPart } from '../hidden-states.ts'

/** Tokens of one run and what of them is on the device. */
export interface DeviceBatch {
  readonly part: TokenPart
  /** f32 [batch, time, H] */
  hidden: DeviceTensor | undefined
  /** Inputs of the experts of the current layer, f32 [batch · time + 1, H]: the last row is zeros, for tiles with less tokens than rows. */
  normed: DeviceTensor | undefined
}

/** Puts a tensor into a batch and frees the one before. */
export function replace(
  batch: DeviceBatch,
  name: 'hidden' | 'normed',
  tensor: DeviceTensor | undefined,
): void {
  batch[name]?.dispose()
  batch[name] = tensor
}

/** Throws INVARIANT before the tokens were embedded. */
export function hiddenOf({ hidden }: DeviceBatch): DeviceTensor {
  invariant(hidden !== undefined, 'the hidden states are gone')
  return hidden
}
