/**
 * Against which maximum a search for block scales measures. ModelOpt ties the maxima of q/k/v and of gate/up before the search, but those of
 * linear_attn's in_proj_qkv and in_proj_z only afterwards, at export; the identical profile keeps that, the hardened one searches with the
 * maximum that is stored. Source: SHARED_PATTERNS of modelopt/torch/quantization/utils/shared_input.py.
 */
import type { ExportProfile, ModuleFormat } from '../formats.ts'

/** True when each of these linears is searched against its own maximum although they share a tensor scale. */
export function searchesAlone(
  format: ModuleFormat,
  profile: ExportProfile,
  modules: readonly string[],
): boolean {
  return (
    format.search !== undefined &&
    profile === 'identical' &&
    modules.some((name) => /(^|\.)linear_attn\./.test(name))
  )
}
