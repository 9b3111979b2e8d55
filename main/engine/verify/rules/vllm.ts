/** What vLLM does with an export. Read in its loaders, not run. */
import { NVFP4_FORMATS, type EngineRules } from './engine-rule.ts'

export const VLLM_RULES: EngineRules = {
  engine: 'vllm',
  version: 3,
  origin: 'vLLM modelopt.py 00155cde, qwen3_5.py 00def4f8, routed_experts.py 002d6073 (2026)',
  rules: [
    {
      id: 'vllm.layout-mixed',
      when: { broken: ['names.one-layout'] },
      verdict: 'fails',
      reason:
        'one fused expert tensor switches the names of all experts after it; {subject} is stored both ways',
    },
    {
      id: 'vllm.names',
      when: { broken: ['names.exact', 'bytes.expected', 'tensor.dtype', 'tensor.shape'] },
      verdict: 'fails',
      reason:
        '{subject} is not what the loader looks for; unknown names are skipped and what they should fill stays uninitialised',
    },
    {
      id: 'vllm.scale-values',
      when: { broken: ['scale.nan', 'scale.positive'] },
      verdict: 'fails',
      reason: 'loads, but {subject} makes the kernel compute infinity or NaN for tokens that reach it',
      origin: 'vllm#45212, #54189, #42601',
    },
    {
      id: 'vllm.gate-up-scale',
      when: { dialect: 'modelopt', broken: ['scale.gate-up'] },
      verdict: 'fails',
      reason: 'loads, but the scale of gate is used for up as well, which is wrong for {subject}',
      origin: 'vllm#54974, #54150, #56095',
    },
    {
      id: 'vllm.gate-up-refused',
      when: { dialect: 'compressed-tensors', broken: ['scale.gate-up'] },
      verdict: 'fails',
      reason: 'gate and up of one expert must have equal input scales; {subject} has not',
    },
    {
      id: 'vllm.group-size',
      when: { broken: ['config.group-size'] },
      verdict: 'fails',
      reason: '{subject} has scales for other blocks than the configuration declares',
    },
    {
      id: 'vllm.fused-algorithms',
      when: { broken: ['config.fused-formats'] },
      verdict: 'fails',
      reason: '{subject} is fused with projections of another format',
    },
    {
      id: 'vllm.algorithm',
      when: {
        dialect: 'modelopt',
        formats: ['int4_awq', 'int8_sq', 'int8_wo', 'w4a8_nvfp4_fp8', 'w4a8_mxfp4_fp8', 'mxfp4'],
      },
      verdict: 'fails',
      reason:
        '{module} is {format}, which the modelopt loader does not accept; use the compressed-tensors dialect',
    },
    {
      id: 'vllm.expert-method',
      when: { dialect: 'modelopt', formats: ['fp8_pb_wo', 'fp8_pc_pt'], kind: 'experts' },
      verdict: 'fails',
      reason:
        '{module} is {format}; the modelopt loader reads experts with one scale per tensor only; use the compressed-tensors dialect',
    },
    {
      id: 'vllm.int4-fp8-blocks',
      when: { formats: ['w4a8_int4_fp8'], kind: 'experts', otherBlockSizes: [128] },
      verdict: 'fails',
      reason: '{module} is {format} with other blocks than 128, the only size of its method for experts',
      origin: 'vLLM compressed_tensors_moe_w4a8_fp8.py (2026)',
    },
    {
      id: 'vllm.int4-fp8',
      when: { formats: ['w4a8_int4_fp8'] },
      verdict: 'warns',
      reason:
        '{module} is {format}, which has a method on GPUs of compute capability 9.0 (Hopper) and on no other',
      origin: 'vLLM compressed_tensors.py, _is_fp8_w4a8_sm90 (2026)',
    },
    {
      id: 'vllm.one-block-size',
      when: { dialect: 'modelopt', hasSeveralBlockSizes: true },
      verdict: 'fails',
      reason: 'one NVFP4 block size serves all layers, this export has several',
    },
    {
      id: 'vllm.input-scales',
      when: { lacksInputScales: true },
      verdict: 'fails',
      reason: 'an expert has no input scale; the loader leaves its memory uninitialised',
      origin: 'vllm#45212',
    },
    {
      id: 'vllm.block-32-undeclared',
      when: { dialect: 'modelopt', formats: NVFP4_FORMATS, blockSizes: [32], hasTopLevelGroupSize: false },
      verdict: 'fails',
      reason: '{module} has blocks of 32, but without a top-level group_size the loader assumes 16',
    },
    {
      id: 'vllm.nested-keys',
      when: { broken: ['config.nested-keys'] },
      verdict: 'warns',
      reason: 'hf_quant_config.json lacks {subject}, which its reader demands; config.json is read first',
    },
    {
      id: 'vllm.block-32',
      when: { formats: NVFP4_FORMATS, blockSizes: [32] },
      verdict: 'warns',
      reason:
        '{module} has blocks of 32, declared by the top-level group_size; kernels for it depend on the version',
    },
    {
      id: 'vllm.lm-head',
      when: { module: 'lm_head' },
      verdict: 'warns',
      reason: '{module} is quantized, which versions before ParallelLMHead quantization refuse',
      origin: 'vllm#45102',
    },
    {
      id: 'vllm.mixed',
      when: { dialect: 'modelopt', isMixed: true },
      verdict: 'warns',
      reason: 'mixed precision needs a version with modelopt_mixed and a GPU of compute capability 8.9',
    },
    {
      id: 'vllm.kv-nvfp4',
      when: { kv: ['nvfp4', 'nvfp4_cast'] },
      verdict: 'warns',
      reason: 'an NVFP4 KV cache is declared by hf_quant_config.json only',
    },
    {
      id: 'vllm.fp8-requantized',
      when: { formats: ['fp8'], kind: 'linear' },
      verdict: 'loads',
      reason: 'fused projections with different FP8 scales are requantized to the largest',
    },
  ],
  otherwise: { id: 'vllm.accepted', verdict: 'loads', reason: 'every format of this export is accepted' },
}
