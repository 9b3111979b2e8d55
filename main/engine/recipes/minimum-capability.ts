/** Which NVIDIA GPUs a recipe's export is for, as far as an engine says. */
import type { WeightFormat } from '../quant/formats.ts'

/** Lowest compute capability of vLLM's methods, ×10. Source: `get_min_capability` of its ModelOpt methods; mixed exports need the highest. */
const MINIMUM_CAPABILITY: Readonly<Partial<Record<WeightFormat, number>>> = {
  fp8: 89,
  fp8_pc_pt: 89,
  fp8_pb_wo: 89,
  nvfp4: 75,
  nvfp4_static: 75,
  w4a16_nvfp4: 75,
  w4a16_nvfp4_static: 75,
  mxfp8: 80,
}

/** undefined for other dialects, for formats without a known method, and when nothing is quantized. */
export function minimumCapability(dialect: string, formats: readonly WeightFormat[]): number | undefined {
  const capabilities = formats.map((format) => MINIMUM_CAPABILITY[format])
  const known = capabilities.filter((capability) => capability !== undefined)
  if (dialect !== 'modelopt' || known.length === 0 || known.length < capabilities.length) return undefined
  return Math.max(...known)
}
