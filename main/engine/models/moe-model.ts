/**
 * What a family adapter makes of a checkpoint: roles, modules and the order in which an export lists them. Nothing below this
 * interface knows tensor names of a family; the planner, the calibrator and the verifier work on it alone.
 */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { QwenTextConfig } from './qwen3_5-moe/text-config.ts'

export type TensorRole =
  | 'embedding'
  | 'norm'
  | 'attention'
  | 'linear_attention'
  | 'router'
  | 'expert'
  | 'shared_expert'
  | 'lm_head'
  | 'vision'
  | 'mtp'
  /** Not known to the family: carried over unchanged and reported. */
  | 'other'

export type ExpertLayout = 'fused' | 'per_expert'

/** The three matrices of one routed expert. gate and up are [F, H], down is [H, F]; in the fused layout gate and up are adjacent slices. */
export interface ExpertSlices {
  readonly gate: TensorSlice
  readonly up: TensorSlice
  readonly down: TensorSlice
}

/** A module that a quantization recipe can address, by its module name in the exported model. */
export interface QuantizableModule {
  /** e.g. `model.language_model.layers.0.self_attn.q_proj`, `….mlp.experts`. */
  readonly name: string
  readonly kind: 'linear' | 'conv' | 'embedding' | 'experts' | 'router'
  readonly layerIndex: number | undefined
}

/** One item of the export in state-dict order; the planner expands it into tensors according to the module's format. */
export type ExportItem =
  | {
      /** A tensor written as it is (or, in the identical profile, converted to BF16 when it belongs to the trunk). */
      readonly kind: 'tensor'
      readonly name: string
      readonly role: TensorRole
      readonly source: TensorSlice
      readonly layerIndex: number | undefined
    }
  | {
      /** A linear without bias: `<module>.weight` [out, in]. */
      readonly kind: 'linear'
      readonly module: string
      readonly role: TensorRole
      readonly source: TensorSlice
      readonly layerIndex: number | undefined
    }
  | {
      readonly kind: 'experts'
      /** `….mlp.experts`; outputs are `<module>.<e>.{gate,up,down}_proj.*`. */
      readonly module: string
      readonly layerIndex: number
      readonly experts: readonly ExpertSlices[]
    }
  | {
      /** Place of k_scale / v_scale of a full-attention layer: `<module>.k_proj.k_scale`, `<module>.v_proj.v_scale`. */
      readonly kind: 'kv_cache'
      /** `….self_attn` */
      readonly module: string
      readonly layerIndex: number
    }

export interface ModelProblem {
  readonly severity: 'warning' | 'error'
  readonly subject: string
  readonly message: string
}

export interface MoeModel {
  readonly family: 'qwen3_5_moe'
  /** Architecture string of config.json. */
  readonly architecture: string
  /** Prefix of the text tower without trailing dot: `model.language_model`, `model` or `language_model.model`. */
  readonly prefix: string
  readonly text: QwenTextConfig
  readonly expertLayout: ExpertLayout
  readonly mtpLayout: ExpertLayout | 'none'
  readonly hasVision: boolean
  /** Every module a recipe can address, in the order of the model's module tree (exclude lists depend on it only as a set). */
  readonly modules: readonly QuantizableModule[]
  /** Linears that read the same tensor and therefore share scales: q/k/v, in_proj_qkv/z, shared expert gate/up. Module names. */
  readonly fusionGroups: readonly (readonly string[])[]
  /** Complete: every tensor of the checkpoint appears in exactly one item. */
  readonly exportOrder: readonly ExportItem[]
  /** Sorted module prefixes of the MTP block (`mtp`, `mtp.layers.0`), empty without one. */
  readonly mtpPrefixes: readonly string[]
  readonly roles: ReadonlyMap<string, TensorRole>
  readonly problems: readonly ModelProblem[]
}
