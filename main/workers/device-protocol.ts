/**
 * Messages between the engine host and the device worker, the only thread with ONNX Runtime. Structured-clone safe. Requests are answered in
 * order; cancelling is a word in shared memory, because the thread is blocked while a graph runs.
 */
import type { ExpertInputArithmetic, LayerQuality } from '../../shared/domain/quality-report.ts'
import type { SerialisedError } from '../../shared/errors/app-error.ts'
import type { CalibrationData, CalibrationRequest } from '../engine/calibration/data/calibration-input.ts'
import type { SampleChoice } from '../engine/calibration/coverage/choose-samples.ts'
import type { PerplexityResult } from '../engine/calibration/evaluate-perplexity.ts'
import type { TokenBatch } from '../engine/calibration/hidden-states.ts'
import type { RunCost } from '../engine/calibration/resident/device-graphs.ts'
import type { CalibrationStats } from '../engine/calibration/stats.ts'
import type { DeviceInfo } from '../engine/device/probe-devices.ts'
import type { SmokeExpert } from '../engine/calibration/smoke-expert.ts'
import type { MoeModel } from '../engine/models/moe-model.ts'
import type { FileSeal } from '../engine/io/node/boundary-file.ts'
import type { DeviceKind } from '../engine/onnx/graph-runtime.ts'
import type { HeadComparison } from '../engine/quality/compare-heads.ts'
import type { Comparison } from '../engine/quality/measure-models.ts'
import type { KnownScales } from '../engine/quality/sweep-quality.ts'
import type { MessagePort } from 'node:worker_threads'
import type { CopiedTensor } from './copied-tensors.ts'

/** Where hidden states lie on this side of the bus. */
export interface StatePlaces {
  /** Bytes of them that may be in memory. */
  readonly limitBytes: number
  /** File for the rest; made when it is needed, gone when the work ends. */
  readonly scratchPath: string
}

/** A calibration state that an earlier attempt kept. */
export interface KeptState extends FileSeal {
  readonly path: string
}

/** What `start` went on from. */
export interface Continued {
  readonly layersDone: number
  /** Statistics of these layers, as a calibration dump. */
  readonly stats: Uint8Array<ArrayBuffer>
  /** What was measured of these layers; empty when quality is not measured. */
  readonly quality: readonly LayerQuality[]
}

/** The quantized model beside a calibration; see sweep-quality.ts. */
export interface MeasureQuality {
  /** Folder in which the export is being written. */
  readonly exportPath: string
  /** Its configuration and index by file name, which are written last. */
  readonly texts: ReadonlyMap<string, string>
  /** The first of the calibration data. */
  readonly windows: readonly TokenBatch[]
  readonly expertInputs: ExpertInputArithmetic
  readonly states: StatePlaces
}

export interface StartCalibration {
  readonly model: MoeModel
  /** Open source files by shard index; the host closes them after the worker has ended. */
  readonly descriptors: readonly number[]
  /** Tensors outside the layers that are read from the export instead. Default: none. */
  readonly copies?: readonly CopiedTensor[] | undefined
  readonly batches: readonly TokenBatch[]
  /** Where bytes go for export when they have been used (unit-protocol.ts); undefined = nowhere. Transferred. */
  readonly unitPort?: MessagePort | undefined
  /** Whether the input channels of every linear are collected as well. */
  readonly shouldObserveChannels?: boolean | undefined
  /** Percentile of row maxima that is collected as well. */
  readonly percentile?: number | undefined
  /** Memory of a GPU that may be used, in bytes. */
  readonly gpuBudgetBytes?: number | undefined
  /** Default: everything in memory. */
  readonly states?: StatePlaces | undefined
  /** States to go on from, the first that is what it should be. Default: none, from the embeddings. */
  readonly kept?: readonly KeptState[] | undefined
  /** Default: quality is not measured. */
  readonly quality?: MeasureQuality | undefined
  /** Digest of what hidden states depend on beside checkpoint and version: data and device. Default: ''. */
  readonly inputs?: string | undefined
}

export interface ScoutSamples {
  readonly model: MoeModel
  readonly descriptors: readonly number[]
  /** Candidates, one sample a row. */
  readonly batch: TokenBatch
  /** Taken as they come. */
  readonly initialSamples: number
  readonly minTokens: number
  /** Default: everything in memory. */
  readonly states?: StatePlaces | undefined
}

/** Where the time of a calibration on a GPU went. */
export interface CalibrationCosts {
  /** By kind of run. */
  readonly runs: ReadonlyMap<string, RunCost>
  /** Milliseconds of helper threads, and what the device worker waited for them. */
  readonly readMs: number
  readonly convertMs: number
  readonly waitMs: number
}

export interface EvaluateWindows {
  /** Folder of a checkpoint or export; the worker opens it. */
  readonly path: string
  /** The checkpoint to compare with. */
  readonly againstPath?: string | undefined
  readonly expertInputs: ExpertInputArithmetic
  /** One result per group. */
  readonly windows: readonly TokenBatch[]
  /** Default: everything in memory. */
  readonly states?: StatePlaces | undefined
}

export interface Evaluation {
  /** By group, of the model at `path`. */
  readonly results: readonly PerplexityResult[]
  readonly comparison?: Comparison | undefined
  /** Of unquantized checkpoints. */
  readonly bytesRead: number
}

/** Request name -> input and output. */
export interface DeviceCalls {
  /** Chooses the device of this worker; needed before start and evaluate. `threads` 0 = one per core. */
  open: { input: { readonly device: DeviceKind; readonly threads: number }; output: undefined }
  list_devices: { input: undefined; output: readonly DeviceInfo[] }
  /** Computes one expert and compares; see smoke-expert.ts. */
  smoke: {
    input: { readonly expert: SmokeExpert; readonly descriptors: readonly number[] }
    output: { readonly difference: number }
  }
  load_data: { input: CalibrationRequest; output: CalibrationData }
  /** Which samples reach every expert, see choose-samples.ts; a forward pass over all of them. */
  scout: { input: ScoutSamples; output: SampleChoice & { readonly bytesRead: number } }
  start: {
    input: StartCalibration
    output: {
      readonly tokenCount: number
      readonly continued: Continued | undefined
      /** Why states that were kept were not used. */
      readonly unusable: readonly string[]
    }
  }
  /** Writes the state before layer `layersDone`, with the statistics so far, to a file that the host makes durable. */
  keep_state: { input: Continued & { readonly path: string }; output: FileSeal }
  run_layer: { input: { readonly layerIndex: number }; output: CalibrationStats }
  /** The quantized model's layer, after the original's; everything of it must be written but the scales that are known. */
  measure_layer: {
    input: { readonly layerIndex: number; readonly known: KnownScales }
    output: LayerQuality
  }
  /** After `finish`, which keeps what it needs: next-token distributions of both models. Ends the measurement. */
  measure_text: {
    input: {
      readonly model: MoeModel
      readonly known: KnownScales
      readonly descriptors: readonly number[]
      readonly copies: readonly CopiedTensor[]
    }
    output: { readonly comparison: HeadComparison; readonly bytesRead: number }
  }
  finish: {
    input: undefined
    output: {
      readonly stats: CalibrationStats
      readonly bytesRead: number
      readonly costs: CalibrationCosts
      /** Bytes written to the scratch file. */
      readonly spilledBytes: number
    }
  }
  evaluate: { input: EvaluateWindows; output: Evaluation }
  /** Releases everything; afterwards the thread may be ended. */
  close: { input: undefined; output: undefined }
}

export type DeviceCallName = keyof DeviceCalls

/** One request of any kind, as it travels. */
export type DeviceRequest = {
  readonly [Name in DeviceCallName]: {
    readonly seq: number
    readonly name: Name
    readonly input: DeviceCalls[Name]['input']
  }
}[DeviceCallName]

export type DeviceReply =
  | { readonly kind: 'progress'; readonly seq: number; readonly done: number; readonly total: number }
  /** Something the user should know, such as a change of device. */
  | { readonly kind: 'notice'; readonly seq: number; readonly message: string }
  | { readonly kind: 'done'; readonly seq: number; readonly value: DeviceCalls[DeviceCallName]['output'] }
  | { readonly kind: 'failed'; readonly seq: number; readonly error: SerialisedError }

export interface DeviceWorkerData {
  /** Int32[1] in shared memory: not 0 = stop at the next opportunity. */
  readonly stopFlag: SharedArrayBuffer
  /** Built script of the helper threads that prepare weights for a GPU. */
  readonly loaderFile: string
}
