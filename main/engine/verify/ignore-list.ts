/** Exclude lists by each dialect's own rules of matching. */
import { AppError } from '../../../shared/errors/app-error.ts'
import { compilePattern } from '../recipes/fnmatch.ts'
import type { IgnoreList } from './declaration.ts'
import { compileRegex, type NameRegex } from './safe-pattern.ts'

/** CWE-407: patterns are tried one after the other; real lists have some hundreds. */
const MAX_PATTERNS = 20_000
/** CWE-1333: compiled size of all regular expressions of a list. */
const MAX_REGEX_STEPS = 50_000
const REGEX_MARK = 're:'

interface Matcher {
  matches(name: string): boolean
}

/** ModelOpt: fnmatch on module names. Throws CONFIG_INVALID above the limit. */
export function modeloptIgnore(entries: readonly string[], fileName: string): IgnoreList {
  const exact = new Set(entries)
  const patterns = entries.filter((entry) => /[*?[]/.test(entry))
  return ignoreList(entries, exact, bounded(patterns, fileName).map(compilePattern))
}

/** compressed-tensors: exact module names, or `re:` and a regular expression matched from the start. Throws CONFIG_INVALID. */
export function compressedIgnore(entries: readonly string[], fileName: string): IgnoreList {
  const exact = new Set(entries.filter((entry) => !entry.startsWith(REGEX_MARK)))
  const patterns = entries.filter((entry) => entry.startsWith(REGEX_MARK))
  const regexes = bounded(patterns, fileName).map((entry) => regexOf(entry, fileName))
  const steps = regexes.reduce((sum, { size }) => sum + size, 0)
  if (steps > MAX_REGEX_STEPS)
    throw tooLarge(fileName, `${String(steps)} steps of regular expressions`, MAX_REGEX_STEPS)
  return ignoreList(entries, exact, regexes)
}

/** The matcher of a `re:` entry. Throws CONFIG_INVALID when it is malformed or beyond the supported subset. */
export function regexOf(entry: string, fileName: string): NameRegex {
  const regex = compileRegex(entry.slice(REGEX_MARK.length))
  if (regex !== undefined) return regex
  throw new AppError('CONFIG_INVALID', {
    subject: `${fileName}: ${entry.slice(0, 200)}`,
    problem: 'this regular expression is malformed or uses a construct that is not supported',
    remedy: 'name the modules without look-around, back references and flags',
  })
}

export function isRegexEntry(entry: string): boolean {
  return entry.startsWith(REGEX_MARK)
}

function ignoreList(
  entries: readonly string[],
  exact: ReadonlySet<string>,
  patterns: readonly Matcher[],
): IgnoreList {
  const known = new Map<string, boolean>()
  return {
    entries,
    covers(module) {
      let isCovered = known.get(module)
      if (isCovered === undefined) {
        isCovered = exact.has(module) || patterns.some((pattern) => pattern.matches(module))
        known.set(module, isCovered)
      }
      return isCovered
    },
  }
}

function bounded(patterns: readonly string[], fileName: string): readonly string[] {
  if (patterns.length <= MAX_PATTERNS) return patterns
  throw tooLarge(fileName, `${String(patterns.length)} patterns`, MAX_PATTERNS)
}

function tooLarge(subject: string, what: string, limit: number): AppError {
  return new AppError('CONFIG_INVALID', {
    subject,
    problem: `${what} in the exclude list, the limit is ${String(limit)}`,
    remedy: 'get an undamaged copy of this file',
  })
}
