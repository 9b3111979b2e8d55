/** Messages between the engine host and an export worker. Everything is structured-clone safe; tensors travel by descriptor or shared memory. */
import type { Dtype } from '../../shared/domain/dtype.ts'
import type { SerialisedError } from '../../shared/errors/app-error.ts'
import type { ExportProfile, ModuleFormat } from '../engine/quant/formats.ts'
import type { FusedHalf } from '../engine/quant/layout.ts'
import type { StoredTransform } from '../engine/quant/packing.ts'

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
}

export type WorkerTask =
  | {
      readonly kind: 'copy'
      readonly sourceName: string
      readonly source: SourceBytes
      readonly dtype: Dtype
      readonly output: OutputPlace
      readonly convertTo: 'BF16' | undefined
      /** Columns of the matrix, for transforms that pair rows. */
      readonly columns?: number | undefined
      /** u8[256]: every byte b is written as table[b]. */
      readonly table?: Uint8Array<ArrayBuffer> | undefined
    }
  | {
      readonly kind: 'quantize'
      readonly format: ModuleFormat
      readonly profile: ExportProfile
      /** A search for block scales measures each member against its own maximum, not the shared one. */
      readonly searchesAlone: boolean
      readonly members: readonly WorkerMember[]
    }

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
  readonly task: WorkerTask
}

export type TaskReply =
  | { readonly seq: number; readonly ok: true; readonly result: TaskResult }
  | { readonly seq: number; readonly ok: false; readonly error: SerialisedError }

export interface ExportWorkerData {
  /** Bytes of kernels.wasm. */
  readonly kernels: Uint8Array
  /** Claimed before the first task: what the largest one needs. */
  readonly memory: TaskMemory
}
