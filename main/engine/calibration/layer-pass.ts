/** What calibration and evaluation need from a forward pass, wherever its activations live. */
import type { GraphInterceptor } from '../onnx/graph-builder.ts'
import type { GraphRuntime } from '../onnx/graph-runtime.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { AmaxSink, GraphVariant } from './graph-cache.ts'
import type { MicroBatch, RoutedRows, TokenBatch } from './hidden-states.ts'
import type { RunCost } from './resident/device-graphs.ts'
import type { UploadSource } from './resident/uploads.ts'
import type { RoutingTable } from './routing-table.ts'
import type { StateMemory } from './stored-states.ts'
import type { WeightReader } from './weight-reader.ts'

export interface ForwardOptions {
  readonly model: MoeModel
  readonly runtime: GraphRuntime
  /** Where layers run whose inputs are rounded (`variantOf`). On this side only. Default: `runtime`. */
  readonly roundingRuntime?: GraphRuntime | undefined
  /** Units without a layer, and every unit when the activations live on this side. */
  readonly reader: WeightReader
  readonly batches: readonly TokenBatch[]
  /** Extra interceptors of every graph; called once per graph. Default: none. */
  readonly makeInterceptors?: (() => readonly GraphInterceptor[]) | undefined
  /** How the inputs of a layer (undefined = of the vocabulary projection) are rounded. Default: not. On this side only. */
  readonly variantOf?: ((layerIndex: number | undefined) => GraphVariant | undefined) | undefined
  /** Whether amaxes are collected. Default: true. */
  readonly shouldObserve?: boolean
  /** Whether the single input channels of every linear are collected as well. Default: false. */
  readonly shouldObserveChannels?: boolean
  /** Source bytes of a group of experts. Default: 96 MiB. */
  readonly maxUnitBytes?: number
  /** Units of layers for a GPU, prepared ahead. Default: what `reader` gives, converted when it is needed. */
  readonly uploads?: UploadSource | undefined
  /** Memory of a GPU that may be used, in bytes. Default: DEFAULT_BUDGET_BYTES of memory-plan.ts. */
  readonly gpuBudgetBytes?: number | undefined
  /** Memory for hidden states on this side, and where the rest goes. Default: all in memory. */
  readonly stateMemory?: StateMemory | undefined
  /** Without it, a device that runs out of memory or is lost ends the pass. */
  readonly fallback?: DeviceFallback | undefined
  /** Shrinks the runs on a GPU, above 0 and at most 1. Default: 1. */
  readonly runScale?: number | undefined
}

/** What to do when a GPU gives up. */
export interface DeviceFallback {
  /** Called at most once; runtime and reader to go on with. */
  toCpu(): Promise<{ readonly runtime: GraphRuntime; readonly reader: WeightReader }>
  /** A reader for every unit, for a GPU on which the activations do not fit. */
  plainReader(): Promise<WeightReader>
  /** One sentence for the job log. */
  onNotice(message: string): void
}

export interface LayerControl {
  /** In token passes: every token counts once for the mixer, once for router and shared expert, once for its experts. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined
  /** Asked between runs; true ends the layer with CANCELLED. */
  readonly isCancelled?: (() => boolean) | undefined
  readonly watch?: ExpertWatch | undefined
  readonly probe?: ExpertProbe | undefined
}

/** Sees the first tokens of every expert. */
export interface ExpertWatch {
  /** Only tokens before this row are looked at. */
  readonly rowLimit: number
  /** How many more rows of an expert are wanted. */
  wantedRows(expert: number): number
  /** Inputs and outputs f32 [rows, H] of tokens in order, at most as many as wanted; valid during the call. */
  watch(expert: number, inputs: Float32Array, outputs: Float32Array): void
  /** The layer is run again from its beginning: what was seen of it does not count. */
  restart(): void
}

/** How many tokens of an expert, from the first of `routed` on, are to be looked at. */
export function watchedRows(watch: ExpertWatch | undefined, expert: number, routed: RoutedRows): number {
  if (watch === undefined) return 0
  const end = Math.min(routed.to, routed.from + watch.wantedRows(expert))
  let next = routed.from
  while (next < end && (routed.rows[next] ?? watch.rowLimit) < watch.rowLimit) next += 1
  return next - routed.from
}

/** Runs experts on inputs that are not theirs, with the weights that are loaded anyway. On this side only. */
export interface ExpertProbe {
  /** f32 [rows, H]; undefined = none for this expert. */
  inputsOf(expert: number): Float32Array<ArrayBuffer> | undefined
  /** Outputs f32 [rows, H], valid during the call. */
  take(expert: number, outputs: Float32Array): void
}

export type StateRows = (firstRow: number, hidden: Float32Array<ArrayBuffer>) => void

export interface LayerPass {
  /** `hidden` and `normed` are current where the activations live on this side, otherwise only after readStates and runFinalNorm. */
  readonly batches: readonly MicroBatch[]
  readonly tokenCount: number
  /** Cost of runs by kind; empty where it is not measured. */
  readonly costs: ReadonlyMap<string, RunCost>
  /** Fills the hidden states with embedding rows; reads only those that occur. */
  embed(): Promise<void>
  /**
   * Runs one decoder layer on the hidden states. Returns the routing of this layer. Throws WEIGHT_NOT_FINITE, ACTIVATION_NOT_FINITE,
   * CANCELLED and what reader and runtime throw; the hidden states are then undefined.
   */
  runLayer(layerIndex: number, sink: AmaxSink, control?: LayerControl): Promise<RoutingTable>
  /** Final norm of the hidden states; without observers also into `normed` of every micro-batch. */
  runFinalNorm(sink: AmaxSink, control?: LayerControl): Promise<void>
  /**
   * Hands on the hidden states as they are now, f32 [rows, H] of the tokens from `firstRow` on, in order; each is valid during the call.
   * With a limit only those runs that have tokens before it.
   */
  exportStates(take: StateRows, rowLimit?: number): Promise<void>
  /** Instead of embed: `fill` overwrites f32 [rows, H] with the hidden states of the tokens from `firstRow` on. May ask again from the start. */
  importStates(fill: StateRows): Promise<void>
  /** Brings the hidden states into `hidden` of every micro-batch. */
  readStates(): Promise<void>
  /** Frees graphs and device memory. Idempotent. */
  release(): Promise<void>
}

/** Source bytes of a group of experts when nothing else is asked for: sixteen of the 35B shape. */
export const DEFAULT_UNIT_BYTES = 96 * 1024 * 1024
