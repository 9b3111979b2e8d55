/**
 * Regular expressions of tokenizer.json are run on calibration text. CWE-1333: a repeated group that itself repeats without bound, such as
 * `(a+)+`, takes exponential time on text that does not match. No released tokenizer has one.
 */

/** True when a group that can repeat without bound contains something that can. Malformed patterns give an answer too, never an error. */
export function hasNestedRepeat(pattern: string): boolean {
  /** For every open group, and the pattern around them: whether it contains an unbounded repetition. */
  const repeats: boolean[] = [false]
  for (let at = 0; at < pattern.length; at += 1) {
    const character = pattern[at]
    if (character === '\\') at += 1
    else if (character === '[') at = endOfClass(pattern, at)
    else if (character === '(') repeats.push(false)
    else if (character === ')') {
      const inner = repeats.length > 1 && repeats.pop() === true
      const isRepeated = isUnbounded(pattern, at + 1)
      if (inner && isRepeated) return true
      if (inner || isRepeated) repeats[repeats.length - 1] = true
    } else if (isUnbounded(pattern, at)) repeats[repeats.length - 1] = true
  }
  return false
}

/** `*`, `+`, `{n,}` at a position. */
function isUnbounded(pattern: string, at: number): boolean {
  const character = pattern[at]
  return character === '*' || character === '+' || /^\{\d*,\}/.test(pattern.slice(at, at + 16))
}

function endOfClass(pattern: string, begin: number): number {
  for (let at = begin + 1; at < pattern.length; at += 1) {
    if (pattern[at] === '\\') at += 1
    else if (pattern[at] === ']') return at
  }
  return pattern.length
}
