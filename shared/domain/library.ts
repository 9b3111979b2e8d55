/** Checkpoints that were opened and exports that were begun here before. Plain data, JSON safe. */
import type { PathGrant } from './app-info.ts'

export type LibraryEntryId = string & { readonly __brand: 'LibraryEntryId' }
export type LibraryKind = 'checkpoint' | 'export'
/** `unfinished`: only the partial folder of an export is there. `missing`: nothing is. */
export type LibraryState = 'present' | 'unfinished' | 'missing'

export interface LibraryEntry {
  readonly entryId: LibraryEntryId
  readonly kind: LibraryKind
  readonly name: string
  readonly displayPath: string
  readonly family: string | undefined
  /** The recipe of an export; undefined for a checkpoint. */
  readonly recipe: string | undefined
  /** Bytes of its files; undefined while there is nothing to count. */
  readonly sizeBytes: number | undefined
  readonly state: LibraryState
  /** Milliseconds since the epoch. */
  readonly usedMs: number
  readonly isSample: boolean
  /** Good for opening it; undefined unless it is present. */
  readonly grant: PathGrant | undefined
}
