/** Types for the tests. */
export interface LicenceEntry {
  readonly name: string
  readonly version: string
  readonly licence: string
  readonly homepage: string
  readonly text: string
}

export function licenceProblems(entries: readonly LicenceEntry[]): readonly string[]
