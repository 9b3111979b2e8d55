/** How the forward pass gets weights: in units that are read once, used, and given back, so that an export can use the same bytes. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'

export interface WeightUnit {
  /** undefined for embedding, final norm and lm_head. */
  readonly layerIndex: number | undefined
  /** For messages: `layer 3: mixer`. */
  readonly label: string
  readonly slices: readonly TensorSlice[]
}

export interface WeightReader {
  /** Source bytes of every slice, as stored, in the order of `unit.slices`; valid until `release(unit)` or the next `read`. */
  read(unit: WeightUnit): Promise<readonly Uint8Array[]>
  /** Called exactly once for every unit that was read, as soon as its bytes are no longer needed here. */
  release(unit: WeightUnit): void
}
