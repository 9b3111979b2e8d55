/** What TensorRT-LLM (PyTorch back end) does with an export. Read in its weight mapper, not run. */
import type { EngineRules } from './engine-rule.ts'

export const TRTLLM_RULES: EngineRules = {
  engine: 'trtllm',
  version: 2,
  origin: 'TensorRT-LLM qwen3_5_weight_mapper.py da259e7d (2026)',
  rules: [
    {
      id: 'trtllm.names',
      when: {
        broken: ['names.exact', 'names.one-layout', 'bytes.expected', 'tensor.dtype', 'tensor.shape'],
      },
      verdict: 'fails',
      reason: '{subject} is not what the weight mapper looks for',
    },
    {
      id: 'trtllm.scale-values',
      when: { broken: ['scale.nan', 'scale.positive', 'scale.gate-up', 'config.group-size'] },
      verdict: 'fails',
      reason: 'loads, but computes with wrong scales for {subject}',
    },
    {
      id: 'trtllm.linear-attention',
      when: { module: '*linear_attn.in_proj_*' },
      verdict: 'fails',
      reason: '{module} is {format}; the weight mapper cannot pack scales of these projections',
    },
    {
      id: 'trtllm.input-scales',
      when: { lacksInputScales: true },
      verdict: 'fails',
      reason: 'an expert has no input scale',
    },
    {
      id: 'trtllm.compressed-tensors-mixed',
      when: { dialect: 'compressed-tensors', isMixed: true },
      verdict: 'fails',
      reason: 'of several config_groups only one is used',
      origin: 'TensorRT-LLM#17723',
    },
    {
      id: 'trtllm.compressed-tensors',
      when: { dialect: 'compressed-tensors' },
      verdict: 'unknown',
      reason: 'compressed-tensors support is new and partial',
      origin: 'TensorRT-LLM#17723',
    },
    {
      id: 'trtllm.legacy-file',
      when: { dialect: 'modelopt', hasLegacyFile: false },
      verdict: 'fails',
      reason: 'hf_quant_config.json is missing and this engine reads no other description',
    },
    {
      id: 'trtllm.lm-head',
      when: { module: 'lm_head' },
      verdict: 'unknown',
      reason: 'support for a quantized {module} was not found in the revision read',
    },
    {
      id: 'trtllm.mixed',
      when: { isMixed: true },
      verdict: 'unknown',
      reason: 'mixed precision was not found in the revision read',
    },
    {
      id: 'trtllm.known',
      when: { formats: ['nvfp4', 'nvfp4_static', 'fp8'] },
      verdict: 'loads',
      reason: 'needs hf_quant_config.json, which is there',
    },
  ],
  otherwise: { id: 'trtllm.unknown', verdict: 'unknown', reason: 'no rule is known for this export' },
}
