/**
 * The plan of an export: everything that is fixed by headers and recipe before a weight is read. `plan-export.ts` makes it (pure),
 * the runner executes it, the window shows it, resume compares it.
 */
import type { Dtype } from '../../../shared/domain/dtype.ts'
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { KvCacheFormat, ModuleFormat, ExportProfile } from '../quant/formats.ts'
import type { FusedHalf } from '../quant/layout.ts'
import type { StoredTransform } from '../quant/packing.ts'
import type { ResolvedFormats } from '../recipes/resolve-formats.ts'
import type { SmoothingGroup, SmoothingMethod, TensorFold } from '../smoothing/smoothing.ts'
import type { PlanList } from './plan-list.ts'

/** One tensor of the output, at its final place. */
export interface PlannedTensor {
  readonly name: string
  /** Position in the state dict. */
  readonly index: number
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly sizeBytes: number
  /** Index into `ExportPlan.shards`. */
  readonly shardIndex: number
  /** Absolute position in the shard file. */
  readonly offsetBytes: number
  /** What the writer does with the encoded bytes (or the value) first; absent = nothing. */
  readonly transform?: StoredTransform | undefined
}

export interface PlannedShard {
  readonly fileName: string
  readonly sizeBytes: number
  /** Complete first bytes of the file: 8-byte length and padded JSON. */
  readonly header: Uint8Array<ArrayBuffer>
}

/** One matrix of a quantize task and where its parts go. */
export interface QuantizeMember {
  readonly module: string
  readonly source: TensorSlice
  readonly weight: PlannedTensor
  readonly weightScale: PlannedTensor
  /** NVFP4 family: the tensor scale. */
  readonly weightScale2: PlannedTensor | undefined
  /** Dialects that pack into words: the two sizes of the matrix, I64. */
  readonly weightShape?: PlannedTensor | undefined
  /** Set for gate and up in fp8_pb_wo whose tile maxima are divided as ModelOpt does it, tiles that hold rows of both included. */
  readonly fused?: FusedHalf | undefined
  /** How the source is rewritten by smoothing vectors before anything else; absent = not. */
  readonly fold?: TensorFold | undefined
}

/** A unit of work: finished as a whole, journalled as a whole. */
export type ExportTask =
  | {
      readonly kind: 'copy'
      readonly taskIndex: number
      readonly layerIndex: number | undefined
      readonly source: TensorSlice
      readonly output: PlannedTensor
      /** Set when the identical profile stores a non-BF16 trunk tensor as BF16. */
      readonly convertTo: 'BF16' | undefined
      /** u8[256]: every byte b is written as table[b]. Absent = bytes stay. Not together with other changes. */
      readonly table?: Uint8Array<ArrayBuffer> | undefined
      /** As in QuantizeMember; before `convertTo`. Not together with `table`. */
      readonly fold?: TensorFold | undefined
    }
  | {
      /** Quantizes matrices that share one tensor amax (fusion group, gate/up of an expert) or a single matrix. */
      readonly kind: 'quantize'
      readonly taskIndex: number
      readonly layerIndex: number | undefined
      /** Routed expert this task belongs to. */
      readonly expertIndex: number | undefined
      readonly format: ModuleFormat
      readonly members: readonly QuantizeMember[]
    }

/** A scale computed from calibration statistics, written by the runner itself (4 bytes each). */
export interface PlannedActivationScale {
  readonly output: PlannedTensor
  /** What the scale belongs to: inputs of a module, or keys or values of an attention module. */
  readonly owner?: { readonly module: string; readonly kind: 'input' | 'k' | 'v' }
  /** Quantizer names whose maximum is the amax: one, or all of a fusion group. Empty when constant. */
  readonly sites: readonly string[]
  /** Index within a per-expert statistic; undefined for linears and KV. */
  readonly expertIndex: number | undefined
  /** `shared`: the maximum over all experts of the site. */
  readonly scope: 'module' | 'per_expert' | 'shared'
  readonly constantAmax: number | undefined
  /** scale = amax * f32(1 / divisor) in the cuda profile. */
  readonly divisor: number
}

export interface PlannedSmoothing {
  readonly method: SmoothingMethod
  /** Vectors that must be found before a tensor with a fold can be written. */
  readonly groups: readonly SmoothingGroup[]
  /** Tensors with a fold that stay unquantized: norms, routers and other readers of the same channels. */
  readonly rewrittenCount: number
  /** Quantized linears whose inputs are left alone, by name below the layer. */
  readonly leftAlone: readonly string[]
}

export interface PlannedTextFile {
  readonly fileName: string
  readonly text: string
}

export interface ExportPlan {
  readonly profile: ExportProfile
  /** Absent = modelopt. */
  readonly dialect?: DialectChoice
  readonly kvCache: KvCacheFormat
  /** What the recipe asks for before the dialect made it its own; absent when there is no recipe (conversions). */
  readonly asked?: Pick<ResolvedFormats, 'formats' | 'kvCache'>
  readonly recipeName: string
  /** Formats by module name; modules that stay unquantized are absent. */
  readonly formats: ReadonlyMap<string, ModuleFormat>
  readonly shards: readonly PlannedShard[]
  /** In state-dict order. */
  readonly tensors: PlanList<PlannedTensor>
  readonly tasks: PlanList<ExportTask>
  /** The part of `tasks` that belongs to a decoder layer. */
  readonly tasksOfLayer: (layerIndex: number) => Iterable<ExportTask>
  readonly activationScales: PlanList<PlannedActivationScale>
  /** Activation scales come from this percentile of the row maxima; absent = from the maxima. */
  readonly percentile?: number | undefined
  /** Absent = weights are quantized as they are. */
  readonly smoothing?: PlannedSmoothing | undefined
  /** Quantizer names that must have statistics before the run can end. Empty = data-free. */
  readonly calibrationSites: readonly string[]
  /** config.json, hf_quant_config.json, model.safetensors.index.json; index only for more than one shard. */
  readonly textFiles: readonly PlannedTextFile[]
  readonly sourceBytes: number
  readonly outputBytes: number
  readonly quantizedSourceBytes: number
  readonly quantizedOutputBytes: number
}
