/** Which NVIDIA GPUs an export of some formats is for, by dialect, as far as vLLM says. */
import type { GpuRange } from '../../../shared/domain/recipe-summary.ts'
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import type { WeightFormat } from '../quant/formats.ts'

type Capabilities = Readonly<Partial<Record<WeightFormat, number>>>

/** Lowest compute capability of vLLM's methods, ×10. Source: `get_min_capability` of its methods; where versions differ, the higher. */
const MINIMUM: Readonly<Record<DialectChoice, Capabilities>> = {
  modelopt: {
    fp8: 89,
    fp8_pc_pt: 89,
    fp8_pb_wo: 89,
    nvfp4: 75,
    nvfp4_static: 75,
    w4a16_nvfp4: 75,
    w4a16_nvfp4_static: 75,
    mxfp8: 80,
  },
  'compressed-tensors': {
    fp8: 89,
    fp8_pc_pt: 89,
    fp8_pb_wo: 89,
    int8_sq: 75,
    int8_wo: 80,
    int4_awq: 80,
    w4a8_int4_fp8: 90,
    nvfp4: 75,
    nvfp4_static: 75,
    w4a16_nvfp4: 75,
    w4a16_nvfp4_static: 75,
    mxfp8: 75,
    mxfp4: 80,
  },
}

/** Methods that no later GPU has. Source: `_is_fp8_w4a8_sm90`, which asks for exactly this capability. */
const MAXIMUM: Capabilities = { w4a8_int4_fp8: 90 }

/** The GPUs that every one of `formats` runs on; undefined for a format without a known method, and when nothing is quantized. */
export function gpuRange(dialect: DialectChoice, formats: readonly WeightFormat[]): GpuRange | undefined {
  const capabilities = formats.map((format) => MINIMUM[dialect][format])
  const known = capabilities.filter((capability) => capability !== undefined)
  if (known.length === 0 || known.length < capabilities.length) return undefined
  const limits = formats.flatMap((format) => MAXIMUM[format] ?? [])
  return {
    dialect,
    minimum: Math.max(...known),
    maximum: limits.length === 0 ? undefined : Math.min(...limits),
  }
}
