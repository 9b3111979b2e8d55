/** A recipe as the window lists it. */
import type { DialectChoice, KvCacheChoice } from './run-options.ts'

export const RECIPE_PARTS = ['experts', 'shared_experts', 'attention', 'head'] as const
export type RecipePart = (typeof RECIPE_PARTS)[number]

/** CUDA compute capabilities that vLLM's loaders take an export for, times ten. */
export interface GpuRange {
  readonly dialect: DialectChoice
  readonly minimum: number
  /** undefined = every newer one. */
  readonly maximum: number | undefined
}

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
  /** One entry per dialect that the recipe can be written in and that vLLM has methods for, the recipe's own first. */
  readonly gpus: readonly GpuRange[]
}
