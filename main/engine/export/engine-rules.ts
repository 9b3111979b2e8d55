/**
 * What serving engines do with an export, as data: one list of rules per engine, the first that applies decides. From reading loader
 * sources of the stated revisions, not from running them; update this table, not the code that reads it.
 */
import type { EngineVerdict } from '../../../shared/domain/plan-summary.ts'
import type { ExportProfile, KvCacheFormat, WeightFormat } from '../quant/formats.ts'

export interface EngineRule {
  /** All given conditions must hold; those on modules must hold for one and the same module. */
  readonly when: {
    readonly formats?: readonly WeightFormat[]
    /** fnmatch pattern of the module name. */
    readonly module?: string
    readonly kind?: 'experts' | 'linear'
    readonly blockSizes?: readonly number[]
    /** Different formats in one export. */
    readonly isMixed?: boolean
    /** Several block sizes of the NVFP4 family in one export. */
    readonly hasSeveralBlockSizes?: boolean
    /** An expert lacks a stored input scale that its format needs. */
    readonly lacksInputScales?: boolean
    readonly profile?: ExportProfile
    readonly kv?: readonly KvCacheFormat[]
  }
  readonly verdict: EngineVerdict['verdict']
  /** `{module}` and `{format}` are replaced by the first module that fits. */
  readonly reason: string
}

export interface EngineRules {
  readonly engine: EngineVerdict['engine']
  /** Revision the rules were read from. */
  readonly origin: string
  readonly rules: readonly EngineRule[]
  readonly otherwise: Pick<EngineRule, 'verdict' | 'reason'>
}

const NVFP4: readonly WeightFormat[] = ['nvfp4', 'nvfp4_static', 'w4a16_nvfp4', 'w4a16_nvfp4_static']
const NOT_IN_VLLM: readonly WeightFormat[] = [
  'int4_awq',
  'int8_sq',
  'int8_wo',
  'w4a8_nvfp4_fp8',
  'w4a8_mxfp4_fp8',
  'mxfp4',
]

/** Grows with every change of the table; written into reports. */
export const ENGINE_RULES_VERSION = 1

export const ENGINE_RULES: readonly EngineRules[] = [
  {
    engine: 'vllm',
    origin: 'vLLM modelopt.py 00155cde, qwen3_5.py 00def4f8, routed_experts.py 002d6073 (2026)',
    rules: [
      {
        when: { formats: NOT_IN_VLLM },
        verdict: 'fails',
        reason:
          '{module} is {format}, which the modelopt loader does not accept; use the compressed-tensors dialect',
      },
      {
        when: { formats: ['fp8_pb_wo', 'fp8_pc_pt'], kind: 'experts' },
        verdict: 'fails',
        reason: '{module} is {format}; the loader reads experts with one scale per tensor only',
      },
      {
        when: { hasSeveralBlockSizes: true },
        verdict: 'fails',
        reason: 'one NVFP4 block size serves all layers, this export has several',
      },
      {
        when: { lacksInputScales: true },
        verdict: 'fails',
        reason: 'an expert has no input scale; the loader leaves its memory uninitialised',
      },
      {
        when: { formats: NVFP4, blockSizes: [32], profile: 'identical' },
        verdict: 'fails',
        reason: '{module} has blocks of 32, but without a top-level group_size the loader assumes 16',
      },
      {
        when: { formats: NVFP4, blockSizes: [32] },
        verdict: 'warns',
        reason:
          '{module} has blocks of 32, declared by the top-level group_size; kernels for it depend on the version',
      },
      {
        when: { module: 'lm_head' },
        verdict: 'warns',
        reason: '{module} is quantized, which versions before ParallelLMHead quantization refuse',
      },
      {
        when: { isMixed: true },
        verdict: 'warns',
        reason: 'mixed precision needs a version with modelopt_mixed and a GPU of compute capability 8.9',
      },
      {
        when: { kv: ['nvfp4', 'nvfp4_cast'] },
        verdict: 'warns',
        reason: 'an NVFP4 KV cache is declared by hf_quant_config.json only',
      },
      {
        when: { formats: ['fp8'], kind: 'linear' },
        verdict: 'loads',
        reason: 'fused projections with different FP8 scales are requantized to the largest',
      },
    ],
    otherwise: { verdict: 'loads', reason: 'every format of this export is accepted' },
  },
  {
    engine: 'sglang',
    origin: 'SGLang modelopt_quant.py faeb9685 (late 2025)',
    rules: [
      {
        when: { isMixed: true },
        verdict: 'fails',
        reason: 'the revision read has no mixed precision; newer ones must be checked',
      },
      {
        when: { lacksInputScales: true },
        verdict: 'fails',
        reason: 'an expert has no input scale',
      },
      {
        when: { formats: ['nvfp4', 'nvfp4_static'], kind: 'linear', profile: 'identical' },
        verdict: 'warns',
        reason: 'excluded modules are matched by name; fused names are only listed by the hardened profile',
      },
      {
        when: { formats: ['w4a16_nvfp4', 'w4a16_nvfp4_static'] },
        verdict: 'unknown',
        reason: '{format} was not found in the revision read',
      },
      {
        when: { formats: ['nvfp4', 'nvfp4_static'] },
        verdict: 'loads',
        reason: 'NVFP4 is read by modelopt_fp4',
      },
      { when: { formats: ['fp8'] }, verdict: 'loads', reason: 'FP8 is read by modelopt_fp8' },
    ],
    otherwise: { verdict: 'unknown', reason: 'no rule is known for this export' },
  },
  {
    engine: 'trtllm',
    origin: 'TensorRT-LLM qwen3_5_weight_mapper.py da259e7d (2026)',
    rules: [
      {
        when: { module: '*linear_attn.in_proj_*' },
        verdict: 'fails',
        reason: '{module} is {format}; the weight mapper cannot pack scales of these projections',
      },
      { when: { lacksInputScales: true }, verdict: 'fails', reason: 'an expert has no input scale' },
      {
        when: { module: 'lm_head' },
        verdict: 'unknown',
        reason: 'support for a quantized {module} was not found in the revision read',
      },
      {
        when: { isMixed: true },
        verdict: 'unknown',
        reason: 'mixed precision was not found in the revision read',
      },
      {
        when: { formats: ['nvfp4', 'nvfp4_static', 'fp8'] },
        verdict: 'loads',
        reason: 'needs hf_quant_config.json, which is written',
      },
    ],
    otherwise: { verdict: 'unknown', reason: 'no rule is known for this export' },
  },
]
