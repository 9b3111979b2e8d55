/** Recipes by name, from a text, and as a list for people. */
import type { RecipeSummary } from '../../../shared/domain/recipe-summary.ts'
import type { KvCacheChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import {
  isSelectionName,
  KV_SUFFIXES,
  LISTED_RECIPES,
  SELECTIONS,
  UNSUPPORTED_RECIPES,
  type Selection,
  type SelectionName,
} from './builtin.ts'
import { parseRecipe } from './parse-recipe.ts'
import type { Recipe } from './recipe.ts'
import { selectionEntries } from './selection-entries.ts'
import { summariseRecipe } from './summarise-recipe.ts'

const CLOSE_MATCHES = 3
/** Folders that ModelOpt keeps its recipes in, before the file name. */
const MODELOPT_FOLDER = /^(?:general|huggingface)\/(?:(?<family>qwen3_5_moe)\/)?ptq\//
const QWEN_PREFIX = 'qwen3_5_moe-'

/**
 * The built-in recipe of that name, or, with `text`, the recipe that the text describes (`name` is then used in messages).
 * Names: a preset (`nvfp4`), a preset or selection with `-kv_<format>`, ModelOpt's recipe file names with or without their folder.
 * Throws RECIPE_UNKNOWN with close names, FORMAT_UNSUPPORTED for a ModelOpt recipe that cannot be written, RECIPE_INVALID for a bad text.
 */
export function loadRecipe(name: string | undefined, text?: string): Recipe {
  if (text !== undefined) return parseRecipe(name ?? 'recipe', text)
  if (name === undefined || name === '') throw unknown('')
  const builtin = findBuiltin(name)
  if (builtin === undefined) throw unknown(name)
  const selection: Selection = SELECTIONS[builtin.selection]
  return {
    name: builtin.name,
    purpose: `${selection.purpose}${kvPurpose(builtin.kv)}`,
    entries: selectionEntries(selection, builtin.kv),
    method: selection.method,
    hasScaleSweep: selection.hasScaleSweep ?? false,
    ...(selection.smoothing === undefined ? {} : { smoothing: selection.smoothing }),
    calibration: { data: undefined, samples: undefined, sequenceLength: undefined },
    expertInputScale: undefined,
    fallback: 'layer_maximum',
    dialect: selection.dialect,
    sourceText: undefined,
  }
}

/** The built-in recipes worth showing; more combinations of selection and KV format are valid names. */
export function listRecipes(): readonly RecipeSummary[] {
  return LISTED_RECIPES.map((name) => summariseRecipe(loadRecipe(name)))
}

interface Builtin {
  readonly name: string
  readonly selection: SelectionName
  readonly kv: KvCacheChoice
}

function findBuiltin(given: string): Builtin | undefined {
  const folder = MODELOPT_FOLDER.exec(given)
  const file = folder === null ? given : given.slice(folder[0].length)
  const name = folder?.groups?.['family'] === undefined ? file : `${QWEN_PREFIX}${file}`
  const split = /^(.*)-kv_([a-z0-9_]+)$/.exec(name)
  const base = split?.[1] ?? name
  const kv = split === null ? 'none' : KV_SUFFIXES.get(split[2] ?? '')
  if (kv === undefined) return undefined
  for (const selection of [base, `${QWEN_PREFIX}${base}`]) {
    if (isSelectionName(selection)) return { name, selection, kv }
  }
  return undefined
}

function kvPurpose(kv: KvCacheChoice): string {
  switch (kv) {
    case 'none':
      return ''
    case 'fp8':
      return '; FP8 KV cache, calibrated'
    case 'fp8_cast':
      return '; FP8 KV cache with scale 1'
    case 'nvfp4':
      return '; NVFP4 KV cache, calibrated'
    case 'nvfp4_cast':
      return '; NVFP4 KV cache with scale 1'
  }
}

function unknown(name: string): AppError {
  const reason = UNSUPPORTED_RECIPES.get(name) ?? UNSUPPORTED_RECIPES.get(name.replace(/-kv_[a-z0-9_]+$/, ''))
  if (reason !== undefined) {
    return new AppError('FORMAT_UNSUPPORTED', {
      subject: name,
      problem: `this ModelOpt recipe cannot be written: ${reason}`,
      remedy: `choose another recipe, for example ${LISTED_RECIPES[0] ?? ''}`,
    })
  }
  return new AppError('RECIPE_UNKNOWN', {
    subject: name === '' ? 'recipe' : name,
    problem: name === '' ? 'no recipe was named' : 'there is no built-in recipe of this name',
    remedy: `use ${closest(name).join(', ')}, or give a recipe file (.yaml)`,
  })
}

/** Listed names by edit distance; ties keep list order. */
function closest(name: string): readonly string[] {
  const short = name.slice(0, 200)
  return LISTED_RECIPES.map((listed) => ({ listed, distance: editDistance(short, listed) }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, CLOSE_MATCHES)
    .map(({ listed }) => listed)
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a.charAt(i - 1) === b.charAt(j - 1) ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row.at(-1) ?? 0
}
