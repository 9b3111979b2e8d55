/**
 * What `verify` checks, as data: one entry per rule with a stable id. `error` fails the verification, `warning` and `info` are reported.
 * Origins name the contract or the public reports that show what happens when the rule is broken.
 */

export interface ExportRule {
  readonly severity: 'error' | 'warning' | 'info'
  readonly title: string
  readonly origin: string
  /** What the rule needs beyond headers and configuration: stored values, or the checkpoint the export was made from. */
  readonly needs?: 'values' | 'source'
}

/** Grows with every change of the table; written into reports. */
export const EXPORT_RULES_VERSION = 1

export const EXPORT_RULES = {
  'index.resolvable': {
    severity: 'error',
    title: 'every key of the index is in the shard it names',
    origin: 'safetensors index format',
  },
  'index.complete': {
    severity: 'error',
    title: 'every tensor of every shard is in the index',
    origin: 'safetensors index format; loaders skip what the index does not list',
  },
  'index.total-size': {
    severity: 'error',
    title: 'total_size of the index is the size of all tensors',
    origin: 'safetensors index format',
  },
  'config.declared': {
    severity: 'error',
    title: 'a quantization is declared by an algorithm that is known',
    origin: 'vLLM modelopt.py, list of algorithms',
  },
  'config.agree': {
    severity: 'error',
    title: 'config.json and hf_quant_config.json say the same',
    origin: 'ModelOpt unified export: one is derived from the other',
  },
  'config.both-files': {
    severity: 'warning',
    title: 'both quantization descriptions exist',
    origin: 'TensorRT-LLM needs hf_quant_config.json, vLLM and SGLang prefer config.json',
  },
  'config.nested-keys': {
    severity: 'error',
    title: 'hf_quant_config.json has every key that its readers demand',
    origin: 'vLLM modelopt.py: group_size, kv_cache_quant_algo and exclude_modules may be null, not absent',
  },
  'config.group-size': {
    severity: 'error',
    title: 'the declared block size is that of the stored scales',
    origin: 'vLLM modelopt.py: scales are allocated from the declaration',
  },
  'config.fused-formats': {
    severity: 'error',
    title: 'projections that engines fuse have one format',
    origin: 'vLLM modelopt_mixed: shards of a fused module must agree',
  },
  'config.layers-known': {
    severity: 'error',
    title: 'quantized_layers names modules of the model',
    origin: 'vLLM modelopt_mixed: layers absent from the map stay unquantized',
  },
  'config.kv-scales': {
    severity: 'error',
    title:
      'KV cache scales exist for all full-attention layers or for none, and only with a declared KV format',
    origin: 'vLLM kv-cache scale remapping; a missing scale is read as 1.0',
  },
  'ignore.exact': {
    severity: 'error',
    title: 'the exclude list covers exactly the modules without scales',
    origin: 'Model-Optimizer#1858, sgl#36596, vllm#45102',
  },
  'ignore.unmatched': {
    severity: 'warning',
    title: 'every entry of the exclude list matches something',
    origin: 'LLM Compressor#2568: misspelt prefixes exclude nothing',
  },
  'names.exact': {
    severity: 'error',
    title: 'every tensor of every layer and expert exists, under the name engines look for',
    origin: 'vLLM qwen3_5.py skips unknown names; what they should fill stays uninitialised',
  },
  'names.unknown': {
    severity: 'warning',
    title: 'no tensor is unknown to the model family',
    origin: 'vLLM qwen3_5.py skips unknown names',
  },
  'names.one-layout': {
    severity: 'error',
    title: 'no block stores its experts both fused and one by one',
    origin: 'vLLM: one fused name flips the mapping of all later names',
  },
  'tensor.dtype': {
    severity: 'error',
    title: 'every tensor has the dtype of its format',
    origin: 'ModelOpt unified export, compressed-tensors compressors',
  },
  'tensor.shape': {
    severity: 'error',
    title: 'every tensor has the shape and packing of its format',
    origin: 'ModelOpt unified export, compressed-tensors compressors',
  },
  'bytes.expected': {
    severity: 'error',
    title: 'what is declared as quantized experts has the bytes of quantized experts',
    origin: 'Model-Optimizer#1255, LLM Compressor#2430: fused experts silently stay BF16',
  },
  'scale.nan': {
    severity: 'error',
    title: 'no scale is NaN or infinite, no E4M3 scale has the bytes 0x7F or 0xFF, no E8M0 scale 0xFF',
    origin: 'Model-Optimizer#1397, compressed-tensors#595',
    needs: 'values',
  },
  'scale.positive': {
    severity: 'error',
    title: 'every scale is greater than zero',
    origin: 'vllm#45212, #54189: zero becomes infinity in the kernel',
    needs: 'values',
  },
  'scale.zero-block': {
    severity: 'error',
    title: 'no block with values has a zero block scale',
    origin: 'Model-Optimizer#1382: block scales underflow to zero',
    needs: 'values',
  },
  'scale.gate-up': {
    severity: 'error',
    title: 'gate and up of an expert share their tensor scale (NVFP4) and input scale',
    origin: 'vllm#54974, #54150, #56095: the kernel uses the scale of gate for both',
    needs: 'values',
  },
  'scale.group': {
    severity: 'error',
    title: 'fused projections share their tensor scale (NVFP4) and input scale',
    origin: 'vLLM takes the maximum without rescaling blocks',
    needs: 'values',
  },
  'weight.finite': {
    severity: 'error',
    title: 'no stored weight is NaN or infinite',
    origin: 'E4M3 codes 0x7F and 0xFF are NaN',
    needs: 'values',
  },
  'carried.mtp': {
    severity: 'error',
    title: 'the multi-token-prediction block is complete and, with the source, bit-identical',
    origin: 'vllm#35548, sgl#35797: acceptance silently drops to zero',
  },
  'carried.vision': {
    severity: 'error',
    title: 'the vision tower is complete and, with the source, bit-identical',
    origin: 'ollama#17501: images are silently ignored',
  },
  'source.model': {
    severity: 'error',
    title: 'the configuration describes the model of the source',
    origin: 'shapes and prefixes decide which weights belong together',
    needs: 'source',
  },
  'source.unquantized': {
    severity: 'error',
    title: 'unquantized tensors are bit-identical to the source, or its F32 values rounded to BF16',
    origin: 'ModelOpt loads the model in BF16',
    needs: 'source',
  },
  'source.error': {
    severity: 'error',
    title: 'dequantized weights are within the error bound of their format',
    origin: 'rounding analysis of each format, see error-bound.ts',
    needs: 'source',
  },
  'source.side-files': {
    severity: 'error',
    title: 'tokenizer, template, processor and generation files are those of the source',
    origin: 'LLM Compressor#1305, #2153: engines refuse or tokenize differently',
    needs: 'source',
  },
  'source.documents': {
    severity: 'warning',
    title: 'documents of the source (readme, licence) are there unchanged',
    origin: 'licences ask for it',
    needs: 'source',
  },
  'tp.divisible': {
    severity: 'info',
    title: 'matrices can be divided among 1, 2, 4 and 8 tensor-parallel ranks',
    origin: 'blocks of 16, 32 and 128 must not be cut',
  },
} as const satisfies Record<string, ExportRule>

export type ExportRuleId = keyof typeof EXPORT_RULES
