/** Which recipes of the list are shown: by words, width, purpose and GPU. Pure. */
import type { RecipePart, RecipeSummary } from '../../../../shared/domain/recipe-summary.ts'

export const BIT_CHOICES = ['any', 'four', 'eight'] as const
export const PURPOSES = ['any', 'experts', 'mlp', 'all', 'attention', 'data_free'] as const
/** Compute capability of the GPU that will serve, times ten. */
export const GPU_CHOICES = ['any', '75', '80', '89', '90', '100'] as const

export type BitChoice = (typeof BIT_CHOICES)[number]
export type Purpose = (typeof PURPOSES)[number]
export type GpuChoice = (typeof GPU_CHOICES)[number]

export interface RecipeFilter {
  readonly words: string
  readonly bits: BitChoice
  readonly purpose: Purpose
  readonly gpu: GpuChoice
}

export const NO_FILTER: RecipeFilter = { words: '', bits: 'any', purpose: 'any', gpu: 'any' }

/** Between the widest 4-bit format with its scales and the narrowest of 8 bits. */
const FOUR_BIT_LIMIT = 6

export function filterRecipes(
  recipes: readonly RecipeSummary[],
  filter: RecipeFilter,
): readonly RecipeSummary[] {
  const words = filter.words.toLowerCase().split(/\s+/).filter(Boolean)
  return recipes.filter(
    (recipe) =>
      hasWords(recipe, words) &&
      hasBits(recipe, filter.bits) &&
      servesPurpose(recipe, filter.purpose) &&
      runsOn(recipe, filter.gpu),
  )
}

/** Case-insensitive; all of them must occur in the name, the purpose or a format. */
function hasWords({ name, purpose, formats }: RecipeSummary, words: readonly string[]): boolean {
  const searched = `${name} ${purpose} ${formats.join(' ')}`.toLowerCase()
  return words.every((word) => searched.includes(word))
}

function hasBits({ bitsPerWeight }: RecipeSummary, bits: BitChoice): boolean {
  if (bits === 'any') return true
  return bitsPerWeight < FOUR_BIT_LIMIT === (bits === 'four')
}

function servesPurpose({ covers, needsData }: RecipeSummary, purpose: Purpose): boolean {
  const has = (part: RecipePart): boolean => covers.includes(part)
  switch (purpose) {
    case 'any':
      return true
    case 'experts':
      return has('experts') && covers.length === 1
    case 'mlp':
      return has('experts') && has('shared_experts') && !has('attention')
    case 'all':
      return has('experts') && has('attention')
    case 'attention':
      return has('attention') && !has('experts')
    case 'data_free':
      return !needsData
  }
}

/** In one of the dialects. What is not known of a format counts as not running. */
function runsOn({ gpus }: RecipeSummary, gpu: GpuChoice): boolean {
  const own = Number(gpu)
  return gpu === 'any' || gpus.some(({ minimum, maximum }) => minimum <= own && own <= (maximum ?? own))
}
