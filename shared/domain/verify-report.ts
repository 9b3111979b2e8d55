/** What `verify` found in an export. Plain data, JSON safe. */
import type { EngineVerdict } from './plan-summary.ts'

export type Severity = 'error' | 'warning' | 'info'

export interface VerifyFinding {
  /** Stable id of the rule. */
  readonly rule: string
  readonly severity: Severity
  /** Tensor, module, file or key. */
  readonly subject: string
  readonly message: string
}

export interface RuleResult {
  readonly id: string
  readonly title: string
  readonly severity: Severity
  readonly origin: string
  /** `skipped`: not applicable, or the source was not given. */
  readonly state: 'passed' | 'broken' | 'skipped'
  /** All findings of the rule, also those that the list does not repeat. */
  readonly findingCount: number
}

/** Error of one format over all matrices that were compared with the source. */
export interface FormatError {
  readonly format: string
  readonly matrixCount: number
  /** Square root of (sum of squared errors / sum of squared weights). */
  readonly relativeError: number
  /** Largest error of a value as a share of its bound; at most 1 when all are within. */
  readonly largestShareOfBound: number
  /** The bound in words. */
  readonly bound: string
}

export interface TensorParallelResult {
  readonly size: number
  readonly isDivisible: boolean
  readonly problemCount: number
  /** First module that cannot be divided and why; undefined when all can. */
  readonly problem?: string | undefined
}

export interface VerifyReport {
  readonly displayPath: string
  readonly sourcePath: string | undefined
  /** No rule of severity `error` is broken, and no engine that was asked for is known to fail. */
  readonly isSound: boolean
  readonly dialect: string
  /** As declared, e.g. `NVFP4`; `none` without a declaration. */
  readonly algorithm: string
  readonly kvCache: string
  readonly exportRulesVersion: number
  readonly engineRulesVersion: number
  readonly tensorCount: number
  readonly tensorBytes: number
  readonly layerCount: number
  readonly expertCount: number
  readonly quantizedMatrixCount: number
  /** Bytes that the declared formats need, and bytes found, of the modules declared as quantized. */
  readonly expectedQuantizedBytes: number
  readonly actualQuantizedBytes: number
  /** Matrices whose values were compared with the source. */
  readonly comparedMatrixCount: number
  readonly rules: readonly RuleResult[]
  /** Worst first; at most `FINDINGS_PER_RULE` of each rule. */
  readonly findings: readonly VerifyFinding[]
  readonly engines: readonly EngineVerdict[]
  readonly tensorParallel: readonly TensorParallelResult[]
  readonly errors: readonly FormatError[]
}

/** Findings kept of one rule; the rest is counted. */
export const FINDINGS_PER_RULE = 20
