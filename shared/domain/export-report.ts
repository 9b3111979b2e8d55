/**
 * `quantmill/report.json` of an export: what was made of what, what calibration reached, what it cost and what verification found. No paths and
 * no times, so that equal runs on equal machines leave equal reports. Plain data, JSON safe.
 */
import type { ExpertRows } from './expert-rows.ts'
import type { QualityFinding, ServeCommand, UncoveredExpert } from './job.ts'
import type { FormatBytes } from './plan-summary.ts'
import type { QualityReport } from './quality-report.ts'
import type { SmoothingReport } from './smoothing-report.ts'
import type { VerifyReport } from './verify-report.ts'

/** Grows when a field changes its meaning or is removed; new optional fields leave it. */
export const EXPORT_REPORT_SCHEMA = 1

export const REPORT_FILE = 'report.json'
export const REPORT_PAGE_FILE = 'report.html'

/** What was checked: headers and configuration only, or also every value, or also every value against the source. */
export type VerifyScope = 'headers' | 'values' | 'source'

export type VerifyOutcome = Omit<VerifyReport, 'displayPath' | 'sourcePath'> & { readonly scope: VerifyScope }

export interface ExportReport {
  readonly schema: typeof EXPORT_REPORT_SCHEMA
  readonly producer: { readonly name: string; readonly version: string }
  readonly source: {
    /** Name of the checkpoint's folder. */
    readonly name: string
    readonly architecture: string
    readonly layerCount: number
    readonly expertCount: number
    readonly topK: number
    readonly sizeBytes: number
  }
  readonly export: {
    readonly name: string
    readonly recipe: string
    readonly profile: string
    readonly dialect: string
    readonly kvCache: string
    /** Bytes of all shards. */
    readonly sizeBytes: number
    readonly bitsPerWeight: number
    readonly tensorCount: number
    readonly quantizedTensorCount: number
    readonly byFormat: readonly FormatBytes[]
  }
  readonly calibration: {
    /** 0 = the recipe needs no data, or the dump it used does not say. */
    readonly tokenCount: number
    readonly device: string
    /** Where the calibration differs from what was asked for, as sentences. */
    readonly notices: readonly string[]
    /** Tokens routed to each expert, [layer][expert]. */
    readonly expertTokens: ExpertRows
    /** Largest magnitude of each expert's input, [layer][expert]. */
    readonly expertAmax: ExpertRows
    readonly uncoveredExperts: readonly UncoveredExpert[]
  }
  readonly findings: readonly QualityFinding[]
  readonly repairs: readonly QualityFinding[]
  /** With the export's folder name as path. */
  readonly serveCommands: readonly ServeCommand[]
  /** Absent for a recipe that rescales no input channels. */
  readonly smoothing?: SmoothingReport | undefined
  /** Absent when it was not measured. */
  readonly quality?: QualityReport | undefined
  readonly verification?: VerifyOutcome | undefined
}
