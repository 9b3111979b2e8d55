/**
 * A scanner for JSON from untrusted files. The caller says what comes next, so a file of known shape needs no recursion, and what JSON.parse
 * smooths over (duplicate keys, floats for counts, `__proto__`, number text) is seen. Every loop consumes input.
 */

/** Thrown by the scanner; a parser turns it into its own typed error with file and position. */
export class JsonSyntaxError extends Error {
  readonly position: number

  constructor(problem: string, position: number) {
    super(problem)
    this.position = position
  }
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
/** With the u flag a surrogate pair is one character, so this finds only lone surrogates, which UTF-8 cannot hold. */
const LONE_SURROGATE = /[\ud800-\udfff]/u

export class JsonScanner {
  private readonly text: string
  private at = 0

  constructor(text: string) {
    this.text = text
  }

  fail(problem: string): never {
    throw new JsonSyntaxError(problem, this.at)
  }

  /** The next character after white space; '' at the end. */
  peek(): string {
    this.skipSpace()
    return this.text.charAt(this.at)
  }

  /** Consumes `symbol` after white space, or fails. */
  expect(symbol: string): void {
    if (!this.accept(symbol)) this.fail(`expected ${symbol}`)
  }

  /** Consumes `symbol` after white space when it is next. */
  accept(symbol: string): boolean {
    this.skipSpace()
    if (!this.text.startsWith(symbol, this.at)) return false
    this.at += symbol.length
    return true
  }

  /** Calls `member` for each member of an object, which must consume the value; duplicate keys fail. */
  object(maximumCount: number, member: (key: string) => void): void {
    this.expect('{')
    if (this.accept('}')) return
    const seen = new Set<string>()
    do {
      const key = this.string()
      if (seen.has(key)) this.fail(`duplicate key ${JSON.stringify(key)}`)
      if (seen.size >= maximumCount) this.fail(`more than ${String(maximumCount)} entries`)
      seen.add(key)
      this.expect(':')
      member(key)
    } while (this.accept(','))
    this.expect('}')
  }

  /** Calls `item` for each item of an array, which must consume it. */
  array(maximumCount: number, item: () => void): void {
    this.expect('[')
    if (this.accept(']')) return
    let count = 0
    do {
      if (count >= maximumCount) this.fail(`more than ${String(maximumCount)} items`)
      count += 1
      item()
    } while (this.accept(','))
    this.expect(']')
  }

  /** Fails for control characters, bad escapes and lone surrogates, as UTF-8 based parsers do. */
  string(): string {
    this.skipSpace()
    const start = this.at
    if (this.text.charAt(start) !== '"') this.fail('expected a string')
    let end = start + 1
    let hasEscape = false
    for (;;) {
      const unit = this.text.charCodeAt(end)
      if (Number.isNaN(unit)) this.fail('unterminated string')
      if (unit === 0x22) break
      if (unit < 0x20) this.fail('control character in a string')
      if (unit === 0x5c) {
        hasEscape = true
        end += 1
      }
      end += 1
    }
    const text = hasEscape ? this.unescape(start, end + 1) : this.text.slice(start + 1, end)
    if (LONE_SURROGATE.test(text)) this.fail('a string that is not valid Unicode')
    this.at = end + 1
    return text
  }

  /** Text of a number, exactly as it is written. */
  number(): string {
    this.skipSpace()
    NUMBER.lastIndex = this.at
    const text = NUMBER.exec(this.text)?.[0]
    if (text === undefined) this.fail('expected a number')
    this.at += text.length
    return text
  }

  /** A whole number from 0 to 2^53 - 1, written without sign, point or exponent. */
  wholeNumber(): number {
    const start = this.at
    const text = this.number()
    const value = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
      this.at = start
      this.fail(`${text.slice(0, 40)} is not a whole number from 0 to 2^53 - 1`)
    }
    return value
  }

  /** Only white space may follow. */
  end(): void {
    if (this.peek() !== '') this.fail('unexpected text after the end')
  }

  private unescape(start: number, end: number): string {
    try {
      return String(JSON.parse(this.text.slice(start, end)))
    } catch {
      return this.fail('malformed string')
    }
  }

  private skipSpace(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.at)
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return
      this.at += 1
    }
  }
}
