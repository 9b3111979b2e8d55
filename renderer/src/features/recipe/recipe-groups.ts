/** The recipe list in groups by the smallest format, in the order people look for them. Pure. */
import type { RecipeSummary } from '../../../../shared/domain/recipe-summary.ts'

export interface RecipeGroup {
  readonly title: string
  readonly recipes: readonly RecipeSummary[]
}

const GROUPS: readonly (readonly [title: string, prefix: string])[] = [
  ['NVFP4, 4 bit', 'nvfp4'],
  ['MXFP4, 4 bit', 'mxfp4'],
  ['INT4, 4 bit', 'int4'],
  ['FP8, 8 bit', 'fp8'],
  ['MXFP8, 8 bit', 'mxfp8'],
  ['INT8, 8 bit', 'int8'],
]
const REST = 'Other'

/** Empty groups are left out. */
export function groupRecipes(recipes: readonly RecipeSummary[]): readonly RecipeGroup[] {
  const groups = new Map<string, RecipeSummary[]>(
    [...GROUPS.map(([title]) => title), REST].map((title) => [title, []]),
  )
  for (const recipe of recipes) groups.get(groupTitle(recipe))?.push(recipe)
  return [...groups].flatMap(([title, members]) =>
    members.length === 0 ? [] : [{ title, recipes: members }],
  )
}

function groupTitle({ formats }: RecipeSummary): string {
  return GROUPS.find(([, prefix]) => formats.some((format) => format.startsWith(prefix)))?.[0] ?? REST
}
