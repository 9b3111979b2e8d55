/**
 * The entries of a recipe with what each matches in a model and where it has the last word. Made with the same matching that decides formats;
 * expert 0 stands for all experts of a layer, because a recipe that tells them apart is refused.
 */
import type {
  RecipeScope,
  ScopeEntry,
  ScopeMatch,
  ScopeQuantizer,
} from '../../../shared/domain/recipe-scope.ts'
import type { QuantizableModule } from '../models/moe-model.ts'
import { compileEntry, entryMatches, type CompiledEntry, type ParentKind } from './quantizer-resolver.ts'
import type { QuantizerAttributes, Recipe } from './recipe.ts'
import { resolveTarget, type RecipeTarget } from './resolve-formats.ts'

interface Quantizer {
  readonly group: string
  readonly quantizer: ScopeQuantizer
  readonly kind: ParentKind
  /** Names under which it is matched. */
  readonly names: readonly string[]
}

/** Throws what resolveFormats throws: a recipe that cannot be applied has no scope. Cost: modules x entries. */
export function describeScope(recipe: Recipe, target: RecipeTarget): RecipeScope {
  const { formats } = resolveTarget(recipe, target)
  const compiled = recipe.entries.map(compileEntry)
  const matches = compiled.map(
    () =>
      new Map<string, { match: Omit<ScopeMatch, 'matched' | 'decided'>; matched: number; decided: number }>(),
  )
  for (const { group, quantizer, kind, names } of quantizersOf(target)) {
    const matching = compiled.flatMap((entry, index) =>
      names.some((name) => entryMatches(entry, kind, name)) ? [index] : [],
    )
    for (const index of matching) {
      const found = matches[index]
      const key = `${group} ${quantizer}`
      const sum = found?.get(key) ?? { match: { modules: group, quantizer }, matched: 0, decided: 0 }
      sum.matched += 1
      if (index === matching.at(-1)) sum.decided += 1
      found?.set(key, sum)
    }
  }
  return {
    entries: compiled.map((entry, index) => ({
      ...describeEntry(entry),
      matches: [...(matches[index]?.values() ?? [])].map(({ match, matched, decided }) => ({
        ...match,
        matched,
        decided,
      })),
    })),
    outcome: outcomeOf(target.modules, (name) => formats.get(name)?.format),
  }
}

function describeEntry({ entry }: CompiledEntry): Omit<ScopeEntry, 'matches'> {
  return {
    pattern: entry.pattern,
    parentClass: entry.parentClass,
    isEnabled: entry.isEnabled,
    numbers: entry.cfg === undefined ? undefined : describeNumbers(entry.cfg),
  }
}

function describeNumbers({
  numBits,
  axis,
  block,
  isDynamic,
  constantAmax,
  usesConstantAmax,
}: QuantizerAttributes): string {
  const parts = [typeof numBits === 'number' ? `int${String(numBits)}` : numBits]
  if (block?.last !== undefined) {
    const { last, secondLast, scaleBits } = block
    parts.push(
      secondLast === undefined
        ? `blocks of ${String(last)}`
        : `tiles of ${String(secondLast)} × ${String(last)}`,
    )
    if (scaleBits !== undefined) parts.push(`${String(scaleBits)} scales`)
    if (!block.isDynamic && scaleBits !== undefined) parts.push('searched')
  } else if (axis !== undefined) parts.push('one scale per channel')
  if (isDynamic) parts.push('scaled at inference')
  if (constantAmax !== undefined || usesConstantAmax) parts.push('fixed scale')
  return parts.join(', ')
}

function* quantizersOf(target: RecipeTarget): Generator<Quantizer> {
  for (const { name, kind } of target.modules) {
    if (kind === 'router') continue
    const group = withoutLayer(name)
    if (kind !== 'experts') {
      yield { group, quantizer: 'weight', kind, names: [`${name}.weight_quantizer`] }
      yield { group, quantizer: 'input', kind, names: [`${name}.input_quantizer`] }
      continue
    }
    for (const projection of ['gate_up_proj', 'down_proj']) {
      const part = `${name}.${projection}`
      const names = [`${part}_weight_quantizer`, `${part}_weight_quantizers.0`]
      yield { group: `${group}.${projection}`, quantizer: 'weight', kind, names }
      yield { group: `${group}.${projection}`, quantizer: 'input', kind, names: [`${part}_input_quantizer`] }
    }
  }
  for (const module of target.attentionModules) {
    for (const [quantizer, letter] of [
      ['key', 'k'],
      ['value', 'v'],
    ] as const) {
      const names = [`${module}.${letter}_bmm_quantizer`]
      yield { group: withoutLayer(module), quantizer, kind: 'attention', names }
    }
  }
}

function outcomeOf(
  modules: readonly QuantizableModule[],
  formatOf: (name: string) => string | undefined,
): RecipeScope['outcome'] {
  const counts = new Map<string, { format: string; modules: string; count: number }>()
  for (const { name, kind } of modules) {
    const format = (kind === 'router' ? undefined : formatOf(name)) ?? 'unquantized'
    const group = withoutLayer(name)
    const sum = counts.get(`${format} ${group}`) ?? { format, modules: group, count: 0 }
    sum.count += 1
    counts.set(`${format} ${group}`, sum)
  }
  const rank = (format: string): number => (format === 'unquantized' ? 1 : 0)
  return [...counts.values()].sort((a, b) => rank(a.format) - rank(b.format))
}

/** `model.layers.7.mlp` -> `model.layers.*.mlp`. */
function withoutLayer(name: string): string {
  return name.replace(/\.\d+(?=\.|$)/g, '.*')
}
