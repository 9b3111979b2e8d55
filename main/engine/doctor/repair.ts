/** What `doctor` does to an export, as data: the list for people, and where the bytes of each changed tensor come from. */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import type { ExportRuleId } from '../verify/rules/export-rules.ts'

/** One thing that was put right. Plain data, JSON safe. */
export interface Repair {
  /** The rule of `verify` that it broke. */
  readonly rule: ExportRuleId
  /** Tensor, module or file. */
  readonly subject: string
  readonly action: string
  readonly before: string
  readonly after: string
  /**
   * Change of the dequantized weights: root of (sum of squared changes / sum of squares before). 0 = no weight changes its value;
   * undefined = the values before had no meaning, so that only `verify --source` can tell.
   */
  readonly relativeError: number | undefined
}

/** Replaces every byte of a tensor by `table[byte]`. */
export type ByteTable = Uint8Array<ArrayBuffer>

/** An F32 scalar that is written instead of, or in addition to, what the export has. */
export interface NewScalar {
  readonly shape: readonly number[]
  readonly value: number
}

/** A tensor that is taken from the source checkpoint. */
export interface RestoredTensor {
  readonly slice: TensorSlice
  readonly dtype: Dtype
  readonly convertTo: 'BF16' | undefined
}

/** Matrices that are quantized anew from the source; they share one maximum where the format has one. */
export interface EncodedGroup {
  readonly format: ModuleFormat
  readonly members: readonly { readonly module: string; readonly source: TensorSlice }[]
}

/** Everything that changes. Names are tensor names of the export. */
export class RepairSet {
  readonly repairs: Repair[] = []
  readonly tables = new Map<string, ByteTable>()
  readonly scalars = new Map<string, NewScalar>()
  readonly restored = new Map<string, RestoredTensor>()
  readonly encoded: EncodedGroup[] = []
  /** Configuration files that are written anew. */
  readonly texts = new Map<string, string>()
  /** Files of the source that are added. */
  readonly sideFiles: string[] = []

  note(repair: Repair): void {
    this.repairs.push(repair)
  }
}
