/** What SGLang does with an export. Read in its loaders, not run; the revision is old, so this is a lower bound. */
import type { EngineRules } from './engine-rule.ts'

export const SGLANG_RULES: EngineRules = {
  engine: 'sglang',
  version: 2,
  origin: 'SGLang modelopt_quant.py faeb9685 (late 2025)',
  rules: [
    {
      id: 'sglang.names',
      when: {
        broken: ['names.exact', 'names.one-layout', 'bytes.expected', 'tensor.dtype', 'tensor.shape'],
      },
      verdict: 'fails',
      reason: '{subject} is not what the loader looks for',
    },
    {
      id: 'sglang.scale-values',
      when: { broken: ['scale.nan', 'scale.positive', 'scale.gate-up', 'config.group-size'] },
      verdict: 'fails',
      reason: 'loads, but computes with wrong scales for {subject}',
    },
    {
      id: 'sglang.router-excluded',
      when: { broken: ['ignore.exact'] },
      verdict: 'fails',
      reason:
        '{subject} and the exclude list contradict each other, so the module is built for the wrong format',
      origin: 'sgl#36596, #20973; Model-Optimizer#1858',
    },
    {
      id: 'sglang.compressed-tensors',
      when: { dialect: 'compressed-tensors' },
      verdict: 'warns',
      reason: 'compressed-tensors support is minimal and not tested by its authors',
      origin: 'llm-compressor FAQ 2',
    },
    {
      id: 'sglang.mixed',
      when: { isMixed: true },
      verdict: 'fails',
      reason: 'the revision read has no mixed precision; newer ones must be checked',
    },
    {
      id: 'sglang.input-scales',
      when: { lacksInputScales: true },
      verdict: 'fails',
      reason: 'an expert has no input scale',
    },
    {
      id: 'sglang.fused-names',
      when: { formats: ['nvfp4', 'nvfp4_static'], kind: 'linear', listsFusedNames: false },
      verdict: 'warns',
      reason: 'excluded modules are matched by name; fused names are only listed by the hardened profile',
      origin: 'sgl#36596, #18189, #9712',
    },
    {
      id: 'sglang.w4a16',
      when: { formats: ['w4a16_nvfp4', 'w4a16_nvfp4_static'] },
      verdict: 'unknown',
      reason: '{format} was not found in the revision read',
    },
    {
      id: 'sglang.nvfp4',
      when: { formats: ['nvfp4', 'nvfp4_static'] },
      verdict: 'loads',
      reason: 'NVFP4 is read by modelopt_fp4',
    },
    {
      id: 'sglang.fp8',
      when: { formats: ['fp8'] },
      verdict: 'loads',
      reason: 'FP8 is read by modelopt_fp8',
    },
  ],
  otherwise: { id: 'sglang.unknown', verdict: 'unknown', reason: 'no rule is known for this export' },
}
