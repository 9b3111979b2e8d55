/** Messages between the engine host and an export worker. Everything is structured-clone safe; tensors travel by descriptor or shared memory. */
import type { Dtype } from '../../shared/domain/dtype.ts'
import type { SerialisedError } from '../../shared/errors/app-error.ts'
import type { ExportProfile, ModuleFormat } from '../engine/quant/formats.ts'
import type { FusedHalf } from '../engine/quant/layout.ts'
import type { StoredTransform } from '../engine/quant/packing.ts'
import type { ResolvedFold } from '../engine/smoothing/fold-values.ts'

/** Bytes of the source: in a file the host opened, or in memory that the device worker filled. */
export type SourceBytes =
  | {
      readonly kind: 'file'
      readonly descriptor: number
      readonly offsetBytes: number
      readonly sizeBytes: number
    }
  | {
      readonly kind: 'memory'
      readonly buffer: SharedArrayBuffer
      readonly offsetBytes: number
      readonly sizeBytes: number
    }

export interface OutputPlace {
  readonly name: string
  /** Position of the tensor in the state dict. */
  readonly index: number
  readonly descriptor: number
  readonly offsetBytes: number
  readonly sizeBytes: number
  /** Done to the bytes (or the value) before they are hashed and written. */
  readonly transform?: StoredTransform | undefined
}

/** Of a worker's arena, in bytes. */
export interface TaskMemory {
  readonly inputBytes: number
  readonly outputBytes: number
}

export interface WorkerMember {
  readonly sourceName: string
  readonly source: SourceBytes
  readonly dtype: Dtype
  readonly rows: number
  readonly cols: number
  readonly weight: OutputPlace
  readonly weightScale: OutputPlace
  readonly weightScale2: OutputPlace | undefined
  readonly weightShape?: OutputPlace | undefined
  /** Place in the fused weight, which is this task's members one after the other; see QuantizeMember. */
  readonly fused?: FusedHalf | undefined
  /** Applied to the source as it is read. */
  readonly fold?: ResolvedFold | undefined
}

export type WorkerTask =
  | {
      readonly kind: 'copy'
      readonly sourceName: string
      readonly source: SourceBytes
      readonly dtype: Dtype
      readonly output: OutputPlace
      readonly convertTo: 'BF16' | undefined
      /** Columns of the matrix, for folds and for transforms that pair rows. */
      readonly columns?: number | undefined
      /** u8[256]: every byte b is written as table[b]. */
      readonly table?: Uint8Array<ArrayBuffer> | undefined
      /** Applied to the source as it is read. */
      readonly fold?: ResolvedFold | undefined
    }
  | {
      readonly kind: 'quantize'
      readonly format: ModuleFormat
      readonly profile: ExportProfile
      /** A search for block scales measures each member against its own maximum, not the shared one. */
      readonly searchesAlone: boolean
      readonly members: readonly WorkerMember[]
    }

/** A matrix that is read to find smoothing vectors; nothing is written. */
export type MeasuredMember = Pick<WorkerMember, 'sourceName' | 'source' | 'dtype' | 'rows' | 'cols'>

/** What must be known of weights before input channels can be rescaled. Members have the same columns. */
export type MeasureTask =
  | {
      readonly kind: 'weight_channels'
      /** Elements of a row that share a scale; undefined = all of them. */
      readonly blockSize: number | undefined
      readonly members: readonly MeasuredMember[]
    }
  | {
      readonly kind: 'rounding_errors'
      readonly format: ModuleFormat
      readonly members: readonly MeasuredMember[]
      /** f32 [columns] each: what columns are multiplied by. */
      readonly candidates: readonly Float32Array[]
      /** By candidate: maximum that the members share after it. */
      readonly tensorAmaxes: readonly number[]
      /** f64 [columns]: squared input of each, added up. */
      readonly inputSquares: Float64Array
    }

export interface WeightChannels {
  readonly kind: 'weight_channels'
  /** f32 [columns]: largest magnitude. */
  readonly amax: Float32Array
  /** f64 [columns]: magnitudes relative to the largest of their block, added up over the rows. */
  readonly shares: Float64Array
  readonly rowCount: number
}

export interface RoundingErrors {
  readonly kind: 'rounding_errors'
  /** f64 by candidate: sum over i, j of inputSquares_j · (Ŵ_ij / s_j − W_ij)². */
  readonly errors: Float64Array
  /** f64 by candidate: sum of Ŵ². */
  readonly energies: Float64Array
  /** Sum of inputSquares_j · W_ij². */
  readonly reference: number
}

export type MeasureResult = WeightChannels | RoundingErrors

/** Everything that an export worker does. */
export type PoolTask = WorkerTask | MeasureTask
export type PoolResult<T extends PoolTask> = T extends { readonly kind: 'weight_channels' }
  ? WeightChannels
  : T extends { readonly kind: 'rounding_errors' }
    ? RoundingErrors
    : TaskResult

/**
 * A weight whose scales are not what its values ask for. All zeros: `repaired` by the hardened profile with a finite scale, or `reproduced`
 * with NaN scales. `uncovered`: the tile maxima that ModelOpt gives half of a fused expert are too small, so that codes are NaN.
 */
export const DEAD_OUTCOMES = ['repaired', 'reproduced', 'uncovered'] as const
export interface DeadWeight {
  readonly name: string
  readonly outcome: (typeof DEAD_OUTCOMES)[number]
}

export interface TaskResult {
  /** By position of the tensor in the state dict. */
  readonly hashes: readonly { readonly tensor: number; readonly sha256: string }[]
  /** SHA-256 of each source range of the task, in the task's order: taken as the bytes pass, so that no weight is read again for it. */
  readonly sources: readonly string[]
  readonly deadWeights: readonly DeadWeight[]
  readonly bytesRead: number
  readonly bytesWritten: number
}

export interface TaskMessage {
  readonly seq: number
  readonly task: PoolTask
}

export type TaskReply =
  | { readonly seq: number; readonly ok: true; readonly result: TaskResult | MeasureResult }
  | { readonly seq: number; readonly ok: false; readonly error: SerialisedError }

export interface ExportWorkerData {
  /** Bytes of kernels.wasm. */
  readonly kernels: Uint8Array
  /** Claimed before the first task: what the largest one needs. */
  readonly memory: TaskMemory
}
