/** A built-in selection with a KV cache format as the full ordered list of entries. */
import type { KvCacheChoice } from '../../../shared/domain/run-options.ts'
import type { Selection } from './builtin.ts'
import type { RecipeEntry } from './recipe.ts'
import { BASE_DISABLE_ALL, DEFAULT_DISABLED, kvCacheEntries } from './units.ts'

export function selectionEntries(selection: Selection, kv: KvCacheChoice): readonly RecipeEntry[] {
  return [
    ...BASE_DISABLE_ALL,
    ...selection.rules,
    ...kvCacheEntries(kv),
    ...((selection.hasDefaultExclusions ?? true) ? DEFAULT_DISABLED : []),
    ...(selection.lastRules ?? []),
  ]
}
