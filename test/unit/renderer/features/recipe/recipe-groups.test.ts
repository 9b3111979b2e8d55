import { describe, expect, it } from 'vitest'
import {
  filterRecipes,
  NO_FILTER,
  type GpuChoice,
  type RecipeFilter,
} from '../../../../../renderer/src/features/recipe/recipe-filter.ts'
import { groupRecipes } from '../../../../../renderer/src/features/recipe/recipe-groups.ts'
import type { GpuRange, RecipeSummary } from '../../../../../shared/domain/recipe-summary.ts'

function recipe(
  name: string,
  formats: readonly string[],
  change: Partial<RecipeSummary> = {},
): RecipeSummary {
  return {
    name,
    purpose: `purpose of ${name}`,
    formats,
    kvCache: 'none',
    needsData: false,
    bitsPerWeight: 4,
    covers: [],
    gpus: [],
    ...change,
  }
}

const from = (minimum: number, maximum?: number): GpuRange => ({ dialect: 'modelopt', minimum, maximum })

const recipes = [
  recipe('a', ['fp8']),
  recipe('b', ['nvfp4', 'fp8']),
  recipe('c', ['w9']),
  recipe('d', ['nvfp4_static']),
]

it('groups by the smallest format, keeps the order inside and leaves nothing out', () => {
  const groups = groupRecipes(recipes)
  expect(groups.map(({ title, recipes: members }) => [title, members.map(({ name }) => name)])).toEqual([
    ['NVFP4, 4 bit', ['b', 'd']],
    ['FP8, 8 bit', ['a']],
    ['Other', ['c']],
  ])
})

describe('filterRecipes', () => {
  const listed = [
    recipe('a', ['fp8'], { bitsPerWeight: 8, covers: ['experts', 'attention'], gpus: [from(89)] }),
    recipe('b', ['nvfp4', 'fp8'], { covers: ['experts'], needsData: true, gpus: [from(75)] }),
    recipe('c', ['w9'], { bitsPerWeight: 8.25, covers: ['experts', 'shared_experts'] }),
    recipe('d', ['nvfp4'], { bitsPerWeight: 4.63, covers: ['attention'], needsData: true }),
  ]
  const names = (change: Partial<RecipeFilter>): string =>
    filterRecipes(listed, { ...NO_FILTER, ...change })
      .map(({ name }) => name)
      .join('')

  it('shows everything until something is chosen', () => {
    expect(names({})).toBe('abcd')
  })

  it('takes all words, from name, purpose or format', () => {
    expect(names({ words: 'FP8 purpose' })).toBe('ab')
    expect(names({ words: 'fp8 nothing' })).toBe('')
  })

  it('tells widths, purposes and GPUs apart, and shows no recipe whose GPUs are not known', () => {
    expect([names({ bits: 'four' }), names({ bits: 'eight' })]).toEqual(['bd', 'ac'])
    expect(
      (['experts', 'mlp', 'all', 'attention', 'data_free'] as const).map((purpose) => names({ purpose })),
    ).toEqual(['b', 'c', 'a', 'd', 'ac'])
    expect([names({ gpu: '75' }), names({ gpu: '90' })]).toEqual(['b', 'ab'])
    // Written as compressed-tensors, for one generation only.
    const hopper = recipe('h', ['w4a8_int4_fp8'], { gpus: [from(90, 90)] })
    const ofGpu = (gpu: GpuChoice): number => filterRecipes([hopper], { ...NO_FILTER, gpu }).length
    expect([ofGpu('89'), ofGpu('90'), ofGpu('100')]).toEqual([0, 1, 0])
  })
})
