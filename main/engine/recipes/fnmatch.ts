/**
 * Shell-style patterns over module and quantizer names: `*` any text including dots, `?` one character, `[abc]` and `[!a-z]` classes;
 * case sensitive, no escapes. Matches in O(name · pattern) at worst, so a hostile recipe cannot stall the planner.
 * Source: behaviour of Python's fnmatch on a case-sensitive system, which ModelOpt uses.
 */

type Token = string | { readonly isNegated: boolean; readonly ranges: readonly (readonly [string, string])[] }

/** What lies between two stars. */
interface Segment {
  readonly tokens: readonly Token[]
  /** The text when every token is a plain character. */
  readonly literal: string | undefined
}

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit))
/** `?` is a class that excludes nothing. */
const ANY: Token = { isNegated: true, ranges: [] }

export interface NamePattern {
  readonly text: string
  /** False when digits of a name can only be matched by `*`: names that differ in one run of digits then match alike. */
  readonly seesDigits: boolean
  matches(name: string): boolean
}

/** Compiles a pattern. The empty pattern matches the empty name only; an unclosed `[` is a literal. */
export function compilePattern(text: string): NamePattern {
  const segments = splitSegments(text)
  const seesDigits = segments.some(({ tokens }) =>
    tokens.some((token) => DIGITS.some((digit) => matchesChar(token, digit))),
  )
  return { text, seesDigits, matches: (name) => matchSegments(segments, name) }
}

function splitSegments(text: string): readonly Segment[] {
  const segments: Segment[] = []
  let tokens: Token[] = []
  const close = (): void => {
    const chars = tokens.filter((token) => typeof token === 'string')
    segments.push({ tokens, literal: chars.length === tokens.length ? chars.join('') : undefined })
    tokens = []
  }
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    const end = char === '[' ? classEnd(text, at) : -1
    if (char === '*') close()
    else if (char === '?') tokens.push(ANY)
    else if (end < 0) tokens.push(char)
    else {
      tokens.push(parseClass(text.slice(at + 1, end)))
      at = end
    }
  }
  close()
  return segments
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
  return { isNegated, ranges }
}

/** The first segment must start the name, the last must end it, those between are taken at their first place: enough without `|`. */
function matchSegments(segments: readonly Segment[], name: string): boolean {
  const [first, ...others] = segments
  if (first === undefined || !matchesAt(first, name, 0)) return false
  let at = first.tokens.length
  const last = others.pop()
  if (last === undefined) return at === name.length
  for (const segment of others) {
    const found = findSegment(segment, name, at)
    if (found < 0) return false
    at = found + segment.tokens.length
  }
  const lastAt = name.length - last.tokens.length
  return lastAt >= at && matchesAt(last, name, lastAt)
}

function findSegment(segment: Segment, name: string, from: number): number {
  if (segment.literal !== undefined) return name.indexOf(segment.literal, from)
  for (let at = from; at + segment.tokens.length <= name.length; at += 1) {
    if (matchesAt(segment, name, at)) return at
  }
  return -1
}

function matchesAt({ tokens, literal }: Segment, name: string, at: number): boolean {
  if (literal !== undefined) return name.startsWith(literal, at)
  return (
    at + tokens.length <= name.length &&
    tokens.every((token, index) => matchesChar(token, name.charAt(at + index)))
  )
}

function matchesChar(token: Token, char: string): boolean {
  if (typeof token === 'string') return token === char
  return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.isNegated
}
