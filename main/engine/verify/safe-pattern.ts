/**
 * Regular expressions of compressed-tensors configurations (`re:...`), matched without backtracking: a configuration from anywhere cannot
 * stall the verifier. The subset that quantization recipes use: literals, `.`, classes, groups, `|`, `* + ? {m,n}`, `^`, `$`, `\d \w \s`.
 * Source: semantics of Python's re.match (anchored at the start only) on ASCII names.
 */

type CharTest = (char: string) => boolean
type Step =
  | { readonly kind: 'char'; readonly test: CharTest }
  | { readonly kind: 'split'; first: number; second: number }
  | { readonly kind: 'begin' | 'end' | 'match' }

export interface NameRegex {
  /** Steps of the compiled pattern: its cost per character of a name. */
  readonly size: number
  /** True when the pattern matches a prefix of the name. */
  matches(name: string): boolean
}

/** CWE-1333: steps of a compiled pattern; real ones have some dozens. */
const MAX_STEPS = 4096
/** CWE-674: nesting of groups. */
const MAX_DEPTH = 32

/** Compiles a pattern; undefined when it uses a construct outside the subset or is malformed. Matching costs O(name · pattern). */
export function compileRegex(text: string): NameRegex | undefined {
  try {
    const steps = new Compiler(text).compile()
    return { size: steps.length, matches: (name) => run(steps, name) }
  } catch (error: unknown) {
    if (error instanceof PatternError) return undefined
    throw error
  }
}

class PatternError extends Error {}

/** Recursive descent; each parse method appends steps whose exit is the position after them. */
class Compiler {
  private readonly text: string
  private at = 0
  private depth = 0

  constructor(text: string) {
    this.text = text
  }

  compile(): readonly Step[] {
    const steps = this.alternatives()
    if (this.at < this.text.length) throw new PatternError()
    return [...steps, { kind: 'match' }]
  }

  private alternatives(): Step[] {
    let steps = this.sequence()
    while (this.accept('|')) {
      const other = this.sequence()
      // split L1 L2; L1: steps; jump end; L2: other; end. A jump is a split with one target.
      const end = steps.length + 2 + other.length
      steps = [
        { kind: 'split', first: 1, second: steps.length + 2 },
        ...shift(steps, 1),
        { kind: 'split', first: end, second: end },
        ...shift(other, steps.length + 2),
      ]
    }
    return steps
  }

  private sequence(): Step[] {
    let steps: Step[] = []
    while (this.at < this.text.length && !'|)'.includes(this.text.charAt(this.at))) {
      const part = this.quantified()
      steps = [...steps, ...shift(part, steps.length)]
      if (steps.length > MAX_STEPS) throw new PatternError()
    }
    return steps
  }

  private quantified(): Step[] {
    let steps = this.atom()
    for (;;) {
      const range = this.quantifier()
      if (range === undefined) return steps
      steps = repeat(steps, range.minimum, range.maximum)
    }
  }

  private quantifier(): { readonly minimum: number; readonly maximum: number | undefined } | undefined {
    const known = { '*': [0, undefined], '+': [1, undefined], '?': [0, 1] } as const
    const char = this.text.charAt(this.at)
    let range: { minimum: number; maximum: number | undefined } | undefined
    if (char === '*' || char === '+' || char === '?') {
      this.at += 1
      range = { minimum: known[char][0], maximum: known[char][1] }
    } else {
      const match = /^\{(\d{1,3})(?:(,)(\d{0,3}))?\}/.exec(this.text.slice(this.at))
      if (match === null) return undefined
      this.at += match[0].length
      const minimum = Number(match[1])
      const maximum = match[2] === undefined ? minimum : match[3] ? Number(match[3]) : undefined
      if (maximum !== undefined && maximum < minimum) throw new PatternError()
      range = { minimum, maximum }
    }
    // A lazy quantifier matches the same names.
    this.accept('?')
    return range
  }

  private atom(): Step[] {
    const char = this.text.charAt(this.at)
    this.at += 1
    switch (char) {
      case '(':
        return this.group()
      case '[':
        return [{ kind: 'char', test: this.charClass() }]
      case '.':
        return [{ kind: 'char', test: (found) => found !== '\n' }]
      case '^':
        return [{ kind: 'begin' }]
      case '$':
        return [{ kind: 'end' }]
      case '\\':
        return [{ kind: 'char', test: this.escape() }]
      case '*':
      case '+':
      case '?':
        throw new PatternError()
      default:
        return [{ kind: 'char', test: (found) => found === char }]
    }
  }

  private group(): Step[] {
    this.depth += 1
    if (this.depth > MAX_DEPTH) throw new PatternError()
    if (this.accept('?') && !this.accept(':')) throw new PatternError()
    const steps = this.alternatives()
    if (!this.accept(')')) throw new PatternError()
    this.depth -= 1
    return steps
  }

  private escape(): CharTest {
    const char = this.text.charAt(this.at)
    this.at += 1
    const known: Readonly<Record<string, RegExp>> = { d: /\d/, w: /\w/, s: /\s/, D: /\D/, W: /\W/, S: /\S/ }
    const kind = Object.hasOwn(known, char) ? known[char] : undefined
    if (kind !== undefined) return (found) => kind.test(found)
    // Other letters and digits are anchors and references.
    if (char === '' || /[A-Za-z0-9]/.test(char)) throw new PatternError()
    return (found) => found === char
  }

  private charClass(): CharTest {
    const isNegated = this.accept('^')
    const tests: CharTest[] = []
    for (let isFirst = true; isFirst || this.text.charAt(this.at) !== ']'; isFirst = false) {
      const char = this.text.charAt(this.at)
      this.at += 1
      if (char === '') throw new PatternError()
      if (char === '\\') tests.push(this.escape())
      else if (this.text.charAt(this.at) === '-' && !']'.includes(this.text.charAt(this.at + 1))) {
        const last = this.text.charAt(this.at + 1)
        this.at += 2
        tests.push((found) => char <= found && found <= last)
      } else tests.push((found) => found === char)
    }
    this.at += 1
    return (found) => tests.some((test) => test(found)) !== isNegated
  }

  private accept(char: string): boolean {
    if (this.text.charAt(this.at) !== char || this.at >= this.text.length) return false
    this.at += 1
    return true
  }
}

function shift(steps: readonly Step[], by: number): Step[] {
  return steps.map((step) =>
    step.kind === 'split' ? { kind: 'split', first: step.first + by, second: step.second + by } : step,
  )
}

function repeat(part: readonly Step[], minimum: number, maximum: number | undefined): Step[] {
  const copies = maximum ?? minimum + 1
  if (part.length * copies > MAX_STEPS) throw new PatternError()
  const steps: Step[] = []
  for (let copy = 0; copy < minimum; copy += 1) steps.push(...shift(part, steps.length))
  if (maximum === undefined) {
    const start = steps.length
    steps.push({ kind: 'split', first: start + 1, second: start + part.length + 2 })
    steps.push(...shift(part, start + 1), { kind: 'split', first: start, second: start })
    return steps
  }
  const end = minimum * part.length + (maximum - minimum) * (part.length + 1)
  for (let copy = minimum; copy < maximum; copy += 1) {
    const start = steps.length
    steps.push({ kind: 'split', first: start + 1, second: end }, ...shift(part, start + 1))
  }
  return steps
}

/** Simulates all paths at once; the set of live positions never exceeds the number of steps. */
function run(steps: readonly Step[], name: string): boolean {
  let live = new Set<number>()
  const enter = (start: number, at: number, target: Set<number>): boolean => {
    const waiting = [start]
    for (let position = waiting.pop(); position !== undefined; position = waiting.pop()) {
      const step = steps[position]
      if (step === undefined || target.has(position)) continue
      target.add(position)
      if (step.kind === 'match') return true
      if (step.kind === 'split') waiting.push(step.first, step.second)
      else if (step.kind === 'begin' ? at === 0 : step.kind === 'end' && at === name.length)
        waiting.push(position + 1)
    }
    return false
  }
  if (enter(0, 0, live)) return true
  for (let at = 0; at < name.length && live.size > 0; at += 1) {
    const next = new Set<number>()
    for (const position of live) {
      const step = steps[position]
      if (step?.kind === 'char' && step.test(name.charAt(at)) && enter(position + 1, at + 1, next))
        return true
    }
    live = next
  }
  return false
}
