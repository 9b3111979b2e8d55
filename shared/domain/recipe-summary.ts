/** A recipe as the window lists it. */
import type { KvCacheChoice } from './run-options.ts'

export const RECIPE_PARTS = ['experts', 'shared_experts', 'attention', 'head'] as const
export type RecipePart = (typeof RECIPE_PARTS)[number]

export interface RecipeSummary {
  readonly name: string
  /** One sentence for people: what gets which format and what it is for. */
  readonly purpose: string
  readonly formats: readonly string[]
  readonly kvCache: KvCacheChoice
  /** False when everything that is written depends on the weights alone. */
  readonly needsData: boolean
  /** Average bits per quantized weight, scales included. */
  readonly bitsPerWeight: number
  /** What gets a format, largest part of the model first. */
  readonly covers: readonly RecipePart[]
  /** Lowest CUDA compute capability that vLLM's loaders ask for, times ten; undefined where that is not known. */
  readonly minimumCapability: number | undefined
}
