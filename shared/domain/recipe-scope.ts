/** What every pattern of a recipe does to a checkpoint, in the recipe's order. Plain data, JSON safe. */

export type ScopeQuantizer = 'weight' | 'input' | 'key' | 'value'

/** Modules that differ only in their layer. */
export interface ScopeMatch {
  /** Name with `*` for the number of the layer, e.g. `model.language_model.layers.*.self_attn.q_proj`. */
  readonly modules: string
  readonly quantizer: ScopeQuantizer
  /** Modules that the pattern matches. */
  readonly matched: number
  /** Of these, where no later pattern matches: here the entry has the last word. */
  readonly decided: number
}

export interface ScopeEntry {
  readonly pattern: string
  /** Class that the entry is restricted to; undefined = any. */
  readonly parentClass: string | undefined
  readonly isEnabled: boolean
  /** The number format it sets, e.g. `e2m1, blocks of 16`; undefined = it only switches on or off. */
  readonly numbers: string | undefined
  readonly matches: readonly ScopeMatch[]
}

export interface RecipeScope {
  readonly entries: readonly ScopeEntry[]
  /** What comes of it: modules by final format, `unquantized` included; largest group first within a format. */
  readonly outcome: readonly { readonly format: string; readonly modules: string; readonly count: number }[]
}
