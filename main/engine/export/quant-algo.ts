/** ModelOpt's names and configuration payloads of the weight formats, as data. Source: ModelOpt's process_layer_quant_config. */
import type { KvCacheFormat, ModuleFormat, WeightFormat } from '../quant/formats.ts'
import { blockSizeOf } from '../quant/layout.ts'

/** Release of ModelOpt whose output is reproduced; written as the producer's version. */
export const MODELOPT_VERSION = '0.47.0'

/** Plain JSON with integers only: what the quantization configurations consist of. */
export type PlainJson = null | boolean | number | string | readonly PlainJson[] | PlainObject
export interface PlainObject {
  readonly [key: string]: PlainJson
}

/** Letter case as ModelOpt writes it: two names are lower case. */
const ALGORITHMS = {
  fp8: 'FP8',
  fp8_pc_pt: 'FP8_PER_CHANNEL_PER_TOKEN',
  fp8_pb_wo: 'fp8_pb_wo',
  int8_sq: 'W8A8_SQ_PER_CHANNEL',
  int8_wo: 'W8A16',
  int4_awq: 'W4A16_AWQ',
  w4a8_int4_fp8: 'W4A8_AWQ',
  nvfp4: 'NVFP4',
  nvfp4_static: 'NVFP4',
  w4a16_nvfp4: 'W4A16_NVFP4',
  w4a16_nvfp4_static: 'W4A16_NVFP4',
  w4a8_nvfp4_fp8: 'W4A8_NVFP4_FP8',
  mxfp8: 'MXFP8',
  mxfp4: 'mxfp4',
  w4a8_mxfp4_fp8: 'W4A8_MXFP4_FP8',
} as const satisfies Record<WeightFormat, string>

export type QuantAlgorithm = (typeof ALGORITHMS)[WeightFormat]

const WITH_GROUP_SIZE: readonly QuantAlgorithm[] = [
  'NVFP4',
  'W4A16_NVFP4',
  'W4A8_NVFP4_FP8',
  'W4A8_MXFP4_FP8',
  'MXFP8',
  'W4A16_AWQ',
  'W4A8_AWQ',
]

/** What a layer is described by; two modules are of one kind exactly when their payloads are equal. */
export interface LayerPayload extends PlainObject {
  readonly quant_algo: QuantAlgorithm
}

export function quantAlgorithm(format: WeightFormat): QuantAlgorithm {
  return ALGORITHMS[format]
}

/** Keys in the order they are written. INT4 says that no input channels were rescaled, because none are. */
export function layerPayload(format: ModuleFormat): LayerPayload {
  const quant_algo = quantAlgorithm(format.format)
  if (!WITH_GROUP_SIZE.includes(quant_algo)) return { quant_algo }
  const group_size = blockSizeOf(format)
  return quant_algo === 'W4A16_AWQ' || quant_algo === 'W4A8_AWQ'
    ? { quant_algo, group_size, has_zero_point: false, pre_quant_scale: false }
    : { quant_algo, group_size }
}

/** Value of `kv_cache_quant_algo`; null without a quantized cache. */
export function kvCacheAlgorithm(kv: KvCacheFormat): 'FP8' | 'NVFP4' | null {
  switch (kv) {
    case 'none':
      return null
    case 'fp8':
    case 'fp8_cast':
      return 'FP8'
    case 'nvfp4':
    case 'nvfp4_cast':
      return 'NVFP4'
  }
}
