/** A recipe as the window lists it. */
import type { KvCacheChoice } from './run-options.ts'

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
}
