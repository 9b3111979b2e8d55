/**
 * The weight formats by name, as data: what each stores and which scale granularity it has. Names are ModelOpt's export format ids; `w4a8_int4_fp8`
 * (W4AFP8 in compressed-tensors) has none, because what ModelOpt stores under `w4a8_awq` has other scales and no loader.
 * Source: docs of ModelOpt's unified export (QUANTIZATION_* constants); the arithmetic is in one folder per format beside this file.
 */

export const WEIGHT_FORMATS = [
  'fp8',
  'fp8_pc_pt',
  'fp8_pb_wo',
  'int8_sq',
  'int8_wo',
  'int4_awq',
  'w4a8_int4_fp8',
  'nvfp4',
  'nvfp4_static',
  'w4a16_nvfp4',
  'w4a16_nvfp4_static',
  'w4a8_nvfp4_fp8',
  'mxfp8',
  'mxfp4',
  'w4a8_mxfp4_fp8',
] as const

export type WeightFormat = (typeof WEIGHT_FORMATS)[number]

export type KvCacheFormat = 'none' | 'fp8' | 'fp8_cast' | 'nvfp4' | 'nvfp4_cast'

/** Whose division arithmetic is reproduced: ModelOpt on CUDA (what is published) or on the CPU. */
export type NumericProfile = 'cuda' | 'cpu'

/** `identical` = ModelOpt's bytes, quirks included; `hardened` = loader rules on top, source dtypes kept. */
export type ExportProfile = 'hardened' | 'identical'

/** A module's resolved format: the weight format, its block size and how the static block search is done. */
export interface ModuleFormat {
  readonly format: WeightFormat
  /** Elements that share one scale along the last axis; undefined for per-tensor and per-channel formats. */
  readonly blockSize: number | undefined
  /** How static NVFP4 block scales are found; undefined for every other format. */
  readonly search?: 'mse' | 'four_over_six'
  /** Where the activation scale comes from; undefined = the format stores none. */
  readonly inputScale:
    | { readonly kind: 'calibrated'; readonly divisor: number }
    | { readonly kind: 'constant'; readonly amax: number; readonly divisor: number }
    | undefined
  /** Inputs are quantized with scales found at inference, of which nothing is stored; absent = inputs are stored-scale or 16 bit. */
  readonly hasDynamicInput?: true
}
