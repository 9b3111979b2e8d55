/** What `plan` prints and the Recipe view shows before anything runs. Plain data, JSON safe. */
import type { DialectChoice } from './run-options.ts'

export interface FormatBytes {
  /** `nvfp4`, `fp8`, …; `unquantized` for what is carried over. */
  readonly format: string
  readonly tensorCount: number
  readonly sourceBytes: number
  readonly outputBytes: number
}

export interface EngineVerdict {
  readonly engine: 'vllm' | 'sglang' | 'trtllm'
  readonly verdict: 'loads' | 'warns' | 'fails' | 'unknown'
  /** The rule and, where it fails, the module it fails on. */
  readonly reason: string
  /** Id of the rule that decided. */
  readonly rule?: string | undefined
  /** Module or tensor the rule decided on; undefined when it is about the export as a whole. */
  readonly subject?: string | undefined
  /** Revision of the engine, or public report, that the rule was read from. */
  readonly origin?: string | undefined
  /** Of a planned export that fails: the dialect in which the same recipe does not. */
  readonly wayOut?: { readonly dialect: DialectChoice; readonly verdict: 'loads' | 'warns' } | undefined
}

export interface PlanSummary {
  readonly recipe: string
  readonly profile: string
  readonly dialect: string
  readonly kvCache: string
  readonly sourceBytes: number
  readonly outputBytes: number
  readonly bitsPerWeight: number
  readonly byFormat: readonly FormatBytes[]
  readonly shards: readonly { readonly fileName: string; readonly sizeBytes: number }[]
  readonly tensorCount: number
  readonly needsCalibration: boolean
  readonly calibrationSiteCount: number
  /** Data of the calibration, by options, recipe and defaults; undefined without one. */
  readonly calibration?: { readonly samples: number; readonly sequenceLength: number } | undefined
  /** How input channels are rescaled, and which tensors that rewrites beside the quantized ones; undefined for a recipe without. */
  readonly smoothing?:
    | {
        readonly method: string
        /** Norms, routers and other unquantized readers. */
        readonly rewrittenCount: number
        /** Quantized linears whose inputs are left alone, by name below the layer. */
        readonly leftAlone: readonly string[]
      }
    | undefined
  /** Host memory the run is expected to need at most. */
  readonly peakMemoryBytes: number
  /** Disk that a calibration takes beside the export while it runs, at most; 0 without one. */
  readonly scratchBytes: number
  readonly freeDiskBytes: number | undefined
  /** Rough, from bytes and a nominal rate; undefined when nothing is known of this machine. */
  readonly estimatedDurationMs: number | undefined
  readonly engines: readonly EngineVerdict[]
  readonly warnings: readonly string[]
}
