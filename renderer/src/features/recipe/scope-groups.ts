/** The outcome of a recipe by format. Pure. */
import type { RecipeScope } from '../../../../shared/domain/recipe-scope.ts'

type Row = RecipeScope['outcome'][number]

export interface OutcomeGroup {
  readonly format: string
  readonly count: number
  readonly rows: readonly Row[]
}

/** In the order in which formats first appear. */
export function outcomeGroups(outcome: RecipeScope['outcome']): readonly OutcomeGroup[] {
  const byFormat = new Map<string, Row[]>()
  for (const row of outcome) byFormat.set(row.format, [...(byFormat.get(row.format) ?? []), row])
  return [...byFormat].map(([format, rows]) => ({
    format,
    count: rows.reduce((sum, { count }) => sum + count, 0),
    rows,
  }))
}
