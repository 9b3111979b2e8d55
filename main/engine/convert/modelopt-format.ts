/** From ModelOpt's algorithm names to formats. Source: ModelOpt's process_layer_quant_config, read backwards. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { ModuleFormat, WeightFormat } from '../quant/formats.ts'

interface AlgorithmFacts {
  readonly format: WeightFormat
  readonly blockSize?: number
  /** Inputs are quantized at inference; the name says so. */
  readonly hasDynamicInput?: true
}

/** By upper-case name. `MXFP4` is written for 16-bit and MXFP4 inputs alike; the weights are read as what loaders make of it. */
const ALGORITHMS: ReadonlyMap<string, AlgorithmFacts> = new Map<string, AlgorithmFacts>([
  ['FP8', { format: 'fp8' }],
  ['FP8_PER_CHANNEL_PER_TOKEN', { format: 'fp8_pc_pt', hasDynamicInput: true }],
  ['FP8_PB_WO', { format: 'fp8_pb_wo' }],
  ['NVFP4', { format: 'nvfp4', blockSize: 16 }],
  ['W4A16_NVFP4', { format: 'w4a16_nvfp4', blockSize: 16 }],
  ['W4A8_NVFP4_FP8', { format: 'w4a8_nvfp4_fp8', blockSize: 32 }],
  ['MXFP8', { format: 'mxfp8', blockSize: 32, hasDynamicInput: true }],
  ['MXFP4', { format: 'mxfp4', blockSize: 32, hasDynamicInput: true }],
  ['W4A8_MXFP4_FP8', { format: 'w4a8_mxfp4_fp8', blockSize: 32 }],
  ['W8A16', { format: 'int8_wo' }],
  ['W8A8_SQ_PER_CHANNEL', { format: 'int8_sq' }],
  ['W4A16_AWQ', { format: 'int4_awq', blockSize: 128 }],
])

/** Throws FORMAT_UNSUPPORTED for unknown names, DIALECT_UNSUPPORTED for INT4 with zero points or rescaled inputs. */
export function modeloptFormat(
  algorithm: string,
  groupSize: number | undefined,
  description: JsonObject,
): ModuleFormat {
  const facts = ALGORITHMS.get(algorithm.toUpperCase())
  if (facts === undefined) {
    throw new AppError('FORMAT_UNSUPPORTED', {
      subject: 'config.json',
      problem: `the algorithm ${JSON.stringify(algorithm)} is not known`,
      remedy: 'convert an export in a format that Quantmill writes',
    })
  }
  for (const key of ['has_zero_point', 'pre_quant_scale']) {
    if (description[key] !== true) continue
    throw new AppError('DIALECT_UNSUPPORTED', {
      subject: 'config.json',
      problem: `${algorithm} with ${key} has no counterpart in the other dialect`,
      remedy: 'convert an export with symmetric, unscaled INT4 weights',
    })
  }
  const blockSize = facts.blockSize === undefined ? undefined : (groupSize ?? facts.blockSize)
  const base = { format: facts.format, blockSize, inputScale: undefined }
  return facts.hasDynamicInput === true ? { ...base, hasDynamicInput: true } : base
}
