/** An error's clauses as sentences, and everything that helps a developer as one copyable text. */
import type { SerialisedError } from '../../../shared/errors/app-error.ts'

type ErrorText = Pick<SerialisedError, 'problem' | 'remedy'>

export function errorSentences(error: ErrorText): { readonly problem: string; readonly remedy: string } {
  return { problem: sentence(error.problem), remedy: sentence(error.remedy) }
}

/** Problems found together follow each other, an empty line between them. */
export function errorDetail(error: SerialisedError): string {
  const lines = [
    `${error.code} (${error.kind})`,
    error.subject,
    sentence(error.problem),
    sentence(error.remedy),
  ]
  const own = [...lines, ...(error.stack === undefined ? [] : ['', error.stack])].join('\n')
  return [own, ...(error.further ?? []).map(errorDetail)].join('\n\n')
}

/** First letter large, full stop at the end; names such as config.json at the start stay as they are. */
function sentence(clause: string): string {
  const trimmed = clause.trim()
  const start = /^[a-z]+(?=[\s,;:]|$)/.test(trimmed)
    ? trimmed.charAt(0).toUpperCase() + trimmed.slice(1)
    : trimmed
  return /[.!?]$/.test(start) || start === '' ? start : `${start}.`
}
