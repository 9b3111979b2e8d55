import { expect, it } from 'vitest'
import { groupRecipes } from '../../../../../renderer/src/features/recipe/recipe-groups.ts'
import type { RecipeSummary } from '../../../../../shared/domain/recipe-summary.ts'

function recipe(name: string, formats: readonly string[]): RecipeSummary {
  return { name, purpose: `purpose of ${name}`, formats, kvCache: 'none', needsData: false, bitsPerWeight: 4 }
}

const recipes = [
  recipe('a', ['fp8']),
  recipe('b', ['nvfp4', 'fp8']),
  recipe('c', ['w9']),
  recipe('d', ['nvfp4_static']),
]

it('groups by the smallest format, keeps the order inside and leaves nothing out', () => {
  const groups = groupRecipes(recipes, '')
  expect(groups.map(({ title, recipes: members }) => [title, members.map(({ name }) => name)])).toEqual([
    ['NVFP4, 4 bit', ['b', 'd']],
    ['FP8, 8 bit', ['a']],
    ['Other', ['c']],
  ])
})

it('filters by all words, in name, purpose or format', () => {
  expect(
    groupRecipes(recipes, 'FP8 purpose').flatMap((group) => group.recipes.map(({ name }) => name)),
  ).toEqual(['b', 'a'])
  expect(groupRecipes(recipes, 'fp8 nothing')).toEqual([])
})
