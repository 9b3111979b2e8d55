/**
 * Shell-style patterns over module and quantizer names: `*` any text including dots, `?` one character, `[abc]` and `[!a-z]` classes;
 * case sensitive, no escapes. Matches in O(name · pattern) at worst, so a hostile recipe cannot stall the planner.
 * Source: behaviour of Python's fnmatch on a case-sensitive system, which ModelOpt uses.
 */

type Token =
  | { readonly kind: 'star' }
  | { readonly kind: 'any' }
  | { readonly kind: 'literal'; readonly char: string }
  | {
      readonly kind: 'class'
      readonly isNegated: boolean
      readonly ranges: readonly (readonly [string, string])[]
    }

export interface NamePattern {
  readonly text: string
  /** False when digits of a name can only be matched by `*`: names that differ in one run of digits then match alike. */
  readonly seesDigits: boolean
  matches(name: string): boolean
}

/** Compiles a pattern. The empty pattern matches the empty name only; an unclosed `[` is a literal. */
export function compilePattern(text: string): NamePattern {
  const tokens = tokenise(text)
  const seesDigits = tokens.some(
    (token) =>
      token.kind === 'any' || token.kind === 'class' || (token.kind === 'literal' && /\d/.test(token.char)),
  )
  return { text, seesDigits, matches: (name) => matchTokens(tokens, name) }
}

function tokenise(text: string): readonly Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    const end = char === '[' ? classEnd(text, at) : -1
    if (char === '*') {
      if (tokens.at(-1)?.kind !== 'star') tokens.push({ kind: 'star' })
    } else if (char === '?') tokens.push({ kind: 'any' })
    else if (end < 0) tokens.push({ kind: 'literal', char })
    else {
      tokens.push(parseClass(text.slice(at + 1, end)))
      at = end
    }
  }
  return tokens
}

/** Position of the `]` that closes the class at `open`; -1 when there is none. A `]` right after `[` or `[!` is a member. */
function classEnd(text: string, open: number): number {
  const first = text.charAt(open + 1) === '!' ? open + 2 : open + 1
  return text.indexOf(']', text.charAt(first) === ']' ? first + 1 : first)
}

function parseClass(body: string): Token {
  const isNegated = body.startsWith('!')
  const members = isNegated ? body.slice(1) : body
  const ranges: (readonly [string, string])[] = []
  for (let at = 0; at < members.length; at += 1) {
    const isRange = members.charAt(at + 1) === '-' && at + 2 < members.length
    ranges.push([members.charAt(at), members.charAt(isRange ? at + 2 : at)])
    if (isRange) at += 2
  }
  return { kind: 'class', isNegated, ranges }
}

function matchTokens(tokens: readonly Token[], name: string): boolean {
  let token = 0
  let at = 0
  let starToken = -1
  let starAt = 0
  while (at < name.length) {
    const current = tokens[token]
    if (current?.kind === 'star') {
      starToken = token
      starAt = at
      token += 1
    } else if (current !== undefined && matchesChar(current, name.charAt(at))) {
      token += 1
      at += 1
    } else if (starToken >= 0) {
      // Only the last star needs another try: anything an earlier one could still take, this one can take too.
      starAt += 1
      at = starAt
      token = starToken + 1
    } else return false
  }
  return tokens.slice(token).every((rest) => rest.kind === 'star')
}

function matchesChar(token: Token, char: string): boolean {
  if (token.kind === 'literal') return token.char === char
  if (token.kind !== 'class') return token.kind === 'any'
  return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.isNegated
}
