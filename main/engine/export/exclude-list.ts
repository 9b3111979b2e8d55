/**
 * The list of modules that stay unquantized, shortened to prefix wildcards that no quantized module falls under, and the longer list of
 * the hardened profile. Source: ModelOpt's exclude-module summary and the matching rules of the serving engines.
 */
import { compareCodePoints } from '../formats/safetensors/build-header.ts'
import type { MoeModel } from '../models/moe-model.ts'

/**
 * Shortest patterns for `unquantized` by character prefix: at the first dot where `prefix*` (else `prefix.*`) covers no quantized name the
 * pattern is taken, otherwise the full name. Sorted by code point, without duplicates; names that are also quantized are left out.
 * Cost: total length of all names.
 */
export function summariseExcluded(
  quantized: readonly string[],
  unquantized: readonly string[],
): readonly string[] {
  const names = new Set(quantized)
  const prefixes = new Set<string>()
  for (const name of quantized) {
    for (let end = 0; end <= name.length; end += 1) prefixes.add(name.slice(0, end))
  }
  const patterns = new Set<string>()
  for (const name of unquantized) {
    const pattern = shortestPattern(name, names, prefixes)
    if (pattern !== undefined) patterns.add(pattern)
  }
  return [...patterns].sort(compareCodePoints)
}

/** Exclude list of an export in the `identical` profile: the summary, then the MTP patterns unsorted. */
export function excludeModules(model: MoeModel, quantized: ReadonlySet<string>): readonly string[] {
  const names = model.modules.map(({ name }) => name)
  const summary = summariseExcluded(
    names.filter((name) => quantized.has(name)),
    names.filter((name) => !quantized.has(name)),
  )
  return [...summary, ...mtpPatterns(model)]
}

/**
 * Exclude list of the `hardened` profile: the same patterns, every unquantized module by its full name, every parent below which nothing is
 * quantized, the fused names engines give to groups that stay unquantized, and the MTP projection. Engines match by substring, regex or
 * fnmatch; a name that is part of a quantized module's name is therefore never added.
 */
export function hardenedExcludeModules(model: MoeModel, quantized: ReadonlySet<string>): readonly string[] {
  const isQuantized = (name: string): boolean => quantized.has(name)
  const names = model.modules.map(({ name }) => name)
  const unquantized = names.filter((name) => !isQuantized(name))
  const summary = summariseExcluded(names.filter(isQuantized), unquantized)
  const joined = [...quantized].join('\n')
  const extra = [...unquantized, ...unquantized.flatMap(parents), ...fusedNames(unquantized)].filter(
    (name) => !joined.includes(name),
  )
  const list = [...new Set([...summary, ...extra])].sort(compareCodePoints)
  return [...list, ...mtpPatterns(model), ...(model.mtpPrefixes.includes('mtp') ? ['mtp.fc'] : [])]
}

/** `mtp*`, `mtp.layers.0*`: in the order of the prefixes. */
export function mtpPatterns(model: MoeModel): readonly string[] {
  return model.mtpPrefixes.map((prefix) => `${prefix}*`)
}

function shortestPattern(
  name: string,
  quantized: ReadonlySet<string>,
  quantizedPrefixes: ReadonlySet<string>,
): string | undefined {
  for (let dot = name.indexOf('.'); dot !== -1; dot = name.indexOf('.', dot + 1)) {
    const prefix = name.slice(0, dot)
    if (!quantizedPrefixes.has(prefix)) return `${prefix}*`
    if (!quantized.has(prefix) && !quantizedPrefixes.has(`${prefix}.`)) return `${prefix}.*`
  }
  return quantized.has(name) ? undefined : name
}

/** The module that holds this one, unless that is a whole layer or more: `….self_attn` of `….self_attn.q_proj`. */
function parents(name: string): readonly string[] {
  const parent = name.slice(0, Math.max(0, name.lastIndexOf('.')))
  return /\.layers\.\d+\../.test(parent) && !parent.endsWith('.mlp') ? [parent] : []
}

/** What vLLM and SGLang call the modules they build from several projections. */
const FUSED_NAMES: readonly (readonly [fused: string, members: readonly string[]])[] = [
  ['qkv_proj', ['q_proj', 'k_proj', 'v_proj']],
  ['gate_up_proj', ['gate_proj', 'up_proj']],
  ['in_proj_qkvz', ['in_proj_qkv', 'in_proj_z']],
  ['in_proj_ba', ['in_proj_b', 'in_proj_a']],
]

function fusedNames(unquantized: readonly string[]): readonly string[] {
  const names = new Set(unquantized)
  return unquantized.flatMap((name) => {
    const dot = name.lastIndexOf('.') + 1
    const parent = name.slice(0, dot)
    return FUSED_NAMES.flatMap(([fused, members]) =>
      members[0] === name.slice(dot) && members.every((member) => names.has(`${parent}${member}`))
        ? [`${parent}${fused}`]
        : [],
    )
  })
}
