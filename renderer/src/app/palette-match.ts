/** Which commands a typed text means. Pure. */

interface Titled {
  readonly title: string
  readonly detail: string
  readonly isEnabled: boolean
}

/** Words in any order, anywhere; titles that begin with what was typed come first, what cannot be done now last. */
export function matchEntries<T extends Titled>(entries: readonly T[], query: string): readonly T[] {
  const typed = query.trim().toLowerCase()
  const words = typed.split(/\s+/).filter(Boolean)
  const matching = entries.filter(({ title, detail }) => {
    const searched = `${title} ${detail}`.toLowerCase()
    return words.every((word) => searched.includes(word))
  })
  const rank = ({ title, isEnabled }: T): number =>
    (isEnabled ? 0 : 2) + (title.toLowerCase().startsWith(typed) ? 0 : 1)
  return matching
    .map((entry, index) => ({ entry, index }))
    .sort((a, b) => rank(a.entry) - rank(b.entry) || a.index - b.index)
    .map(({ entry }) => entry)
}
