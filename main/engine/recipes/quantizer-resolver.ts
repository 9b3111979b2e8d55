/**
 * State of single quantizers under the ordered entries of a recipe. Remembers which patterns matched anything.
 * A numbered quantizer (`…weight_quantizers.17`) is also matched under its plain name (`…weight_quantizer`), as ModelOpt does.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { QuantizableModule } from '../models/moe-model.ts'
import { compilePattern, type NamePattern } from './fnmatch.ts'
import type { QuantizerState } from './module-format.ts'
import type { Recipe, RecipeEntry } from './recipe.ts'
import { FOREIGN_MODULES } from './units.ts'
import { recipeInvalid } from './yaml-reader.ts'

export type ParentKind = QuantizableModule['kind'] | 'attention'

/** ModelOpt's class names that an entry can restrict itself to, as kinds of our modules; other classes do not occur in the model. */
const CLASS_KINDS: ReadonlyMap<string, ParentKind> = new Map([
  ['nn.Linear', 'linear'],
  ['nn.Conv1d', 'conv'],
  ['nn.Conv2d', 'conv'],
  ['nn.Conv3d', 'conv'],
  ['nn.Embedding', 'embedding'],
])

export interface CompiledEntry {
  readonly entry: RecipeEntry
  readonly pattern: NamePattern
}

interface FollowedEntry extends CompiledEntry {
  hasMatched: boolean
}

export function compileEntry(entry: RecipeEntry): CompiledEntry {
  return { entry, pattern: compilePattern(entry.pattern) }
}

/** Whether an entry speaks of a quantizer: by the class of its module and by its name. */
export function entryMatches({ entry, pattern }: CompiledEntry, kind: ParentKind, name: string): boolean {
  return isOfClass(entry, kind) && pattern.matches(name)
}

function isOfClass({ parentClass }: RecipeEntry, kind: ParentKind): boolean {
  return parentClass === undefined || CLASS_KINDS.get(parentClass) === kind
}

export class QuantizerResolver {
  private readonly recipe: Recipe
  private readonly compiled: readonly FollowedEntry[]

  constructor(recipe: Recipe) {
    this.recipe = recipe
    this.compiled = recipe.entries.map((entry) => ({ ...compileEntry(entry), hasMatched: false }))
  }

  /** State of one quantizer by full name. Throws RECIPE_INVALID when it is switched on without ever getting a cfg. */
  resolve(name: string, kind: ParentKind): QuantizerState {
    return this.apply(name, (compiled) => this.matches(compiled, kind, (pattern) => pattern.matches(name)))
  }

  /** As `resolve`, but a quantizer that is switched on without a cfg counts as off: outputs that a broad pattern happened to touch. */
  resolveIncidental(name: string, kind: ParentKind): QuantizerState {
    const test = (compiled: FollowedEntry): boolean =>
      this.matches(compiled, kind, (pattern) => pattern.matches(name))
    const matching = this.compiled.filter(test)
    return matching.some(({ entry }) => entry.cfg !== undefined) ? this.apply(name, test) : undefined
  }

  /** Common state of the numbered weight quantizers `<list>.0` … of the experts. Throws RECIPE_GROUP_MIXED when experts differ. */
  resolveExperts(list: string, expertCount: number): QuantizerState {
    const plainName = list.replace(/s$/, '')
    const matchesExpert = (compiled: FollowedEntry, expert: number): boolean =>
      this.matches(
        compiled,
        'experts',
        (pattern) => pattern.matches(plainName) || pattern.matches(`${list}.${String(expert)}`),
      )
    const first = this.apply(`${list}.0`, (compiled) => matchesExpert(compiled, 0))
    if (!this.compiled.some(({ pattern }) => pattern.seesDigits)) return first
    for (let expert = 1; expert < expertCount; expert += 1) {
      const state = this.apply(`${list}.${String(expert)}`, (compiled) => matchesExpert(compiled, expert))
      if (state === first || JSON.stringify(state) === JSON.stringify(first)) continue
      throw new AppError('RECIPE_GROUP_MIXED', {
        subject: `${list}.${String(expert)}`,
        problem: 'this expert would be quantized differently from expert 0 of its layer',
        remedy: 'give all experts of a layer the same format: no serving engine loads a mixture',
      })
    }
    return first
  }

  /** Throws RECIPE_PATTERN_UNMATCHED for the first pattern a user wrote that matched nothing, unless it is about other families. */
  assertEveryPatternMatched(): void {
    for (const { entry, hasMatched } of this.compiled) {
      if (hasMatched || entry.place === undefined) continue
      if (FOREIGN_MODULES.some((name) => entry.pattern.includes(name))) continue
      if (entry.parentClass !== undefined && !CLASS_KINDS.has(entry.parentClass)) continue
      throw new AppError('RECIPE_PATTERN_UNMATCHED', {
        subject: `${entry.place.file} line ${String(entry.place.line)}`,
        problem: `the pattern "${entry.pattern}" matches no quantizer of this model`,
        remedy:
          'correct it or remove it; names look like model.language_model.layers.0.mlp.experts.gate_up_proj_weight_quantizer',
      })
    }
  }

  private apply(name: string, matches: (compiled: FollowedEntry) => boolean): QuantizerState {
    let attributes: QuantizerState
    let isEnabled = false
    let enabledBy: RecipeEntry | undefined
    for (const compiled of this.compiled) {
      if (!matches(compiled)) continue
      attributes = compiled.entry.cfg ?? attributes
      isEnabled = compiled.entry.isEnabled
      enabledBy = compiled.entry
    }
    if (!isEnabled) return undefined
    if (attributes !== undefined) return attributes
    throw recipeInvalid(
      enabledBy?.place?.file ?? this.recipe.name,
      enabledBy?.place,
      `${name} is enabled but no entry before says how (no cfg)`,
      'add a cfg',
    )
  }

  private matches(
    compiled: FollowedEntry,
    kind: ParentKind,
    test: (pattern: NamePattern) => boolean,
  ): boolean {
    if (!isOfClass(compiled.entry, kind)) return false
    const isMatch = test(compiled.pattern)
    if (isMatch) compiled.hasMatched = true
    return isMatch
  }
}
