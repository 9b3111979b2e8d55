/**
 * Shape of the engine rules: what a serving engine does with an export, as data. One file per engine beside this one; the first rule that
 * applies decides. A rule changes when an engine changes: edit the data, raise its version, never the code that reads it.
 */
import type { EngineVerdict } from '../../../../shared/domain/plan-summary.ts'
import type { KvCacheFormat, WeightFormat } from '../../quant/formats.ts'
import type { ExportRuleId } from './export-rules.ts'

export type Dialect = 'modelopt' | 'compressed-tensors'

export interface EngineRule {
  /** Stable: scripts match on it. */
  readonly id: string
  /** All given conditions must hold; those on modules must hold for one and the same module. */
  readonly when: {
    readonly dialect?: Dialect
    readonly formats?: readonly WeightFormat[]
    /** fnmatch pattern of the module name. */
    readonly module?: string
    readonly kind?: 'experts' | 'linear'
    readonly blockSizes?: readonly number[]
    /** Every block size but these. */
    readonly otherBlockSizes?: readonly number[]
    /** Different formats in one export. */
    readonly isMixed?: boolean
    /** Several block sizes of the NVFP4 family in one export. */
    readonly hasSeveralBlockSizes?: boolean
    /** An expert lacks a stored input scale that its format needs. */
    readonly lacksInputScales?: boolean
    /** quantization_config repeats group_size at its top level. */
    readonly hasTopLevelGroupSize?: boolean
    /** The exclude list has the engines' names of fused projections. */
    readonly listsFusedNames?: boolean
    /** hf_quant_config.json exists. */
    readonly hasLegacyFile?: boolean
    readonly kv?: readonly KvCacheFormat[]
    /** One of these export rules has an error. */
    readonly broken?: readonly ExportRuleId[]
  }
  readonly verdict: EngineVerdict['verdict']
  /** `{module}` and `{format}` are replaced by the first module that fits, `{subject}` by the first subject of the broken rule. */
  readonly reason: string
  /** Where it was read, when not in the files of the engine's `origin`. */
  readonly origin?: string
}

export interface EngineRules {
  readonly engine: EngineVerdict['engine']
  /** Grows with every change of this engine's rules. */
  readonly version: number
  /** Revision the rules were read from. */
  readonly origin: string
  readonly rules: readonly EngineRule[]
  readonly otherwise: Pick<EngineRule, 'id' | 'verdict' | 'reason'>
}

/** Formats of the NVFP4 family that engines read with one method. */
export const NVFP4_FORMATS: readonly WeightFormat[] = [
  'nvfp4',
  'nvfp4_static',
  'w4a16_nvfp4',
  'w4a16_nvfp4_static',
]
