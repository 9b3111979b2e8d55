/**
 * JSON whose numbers keep their text (`1e-06`, `10000000`), for configuration files that are read, extended and written back.
 * Stricter than JSON.parse: duplicate keys, deep nesting and non-UTF-8 bytes are refused. Objects have no prototype, because
 * `__proto__` is a legal key.
 */
import { LosslessNumber } from 'lossless-json'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../../../shared/errors/codes.ts'
import { JsonScanner, JsonSyntaxError } from '../json-scanner.ts'

export type JsonValue = null | boolean | string | LosslessNumber | JsonObject | JsonValue[]
export interface JsonObject {
  [key: string]: JsonValue
}

/** CWE-674: nesting of a configuration; real ones have at most 5. */
const MAX_DEPTH = 64
/** CWE-770: members of one object or array; the largest real list (an exclude list) has about 1,000. */
const MAX_ENTRIES = 1_000_000

/**
 * Parses JSON text without losing the text of numbers.
 * Throws `code` (default CONFIG_INVALID) for malformed text, duplicate keys and nesting beyond 64 levels.
 */
export function parseJson(text: string, fileName: string, code: ErrorCode = 'CONFIG_INVALID'): JsonValue {
  const scanner = new JsonScanner(text)
  try {
    const value = readValue(scanner, 0)
    scanner.end()
    return value
  } catch (error: unknown) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw invalid(
      code,
      fileName,
      `it is not valid JSON at character ${String(error.position)}: ${error.message}`,
    )
  }
}

/** Parses the bytes of a UTF-8 JSON file whose root is an object. Throws `code`. */
export function parseJsonObject(
  bytes: Uint8Array,
  fileName: string,
  code: ErrorCode = 'CONFIG_INVALID',
): JsonObject {
  const root = asObject(parseJson(decodeUtf8(bytes, fileName, code), fileName, code))
  if (root === undefined) throw invalid(code, fileName, 'its root is not a JSON object')
  return root
}

/** Text of a UTF-8 file without byte order mark handling. Throws `code` for bytes that are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, fileName: string, code: ErrorCode): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw invalid(code, fileName, 'it is not UTF-8 text')
  }
}

/** The value when it is a JSON object, else undefined. */
export function asObject(value: JsonValue | undefined): JsonObject | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return Array.isArray(value) || value instanceof LosslessNumber ? undefined : value
}

/** Number of a lossless value; undefined for everything else. Out of range gives Infinity. */
export function asNumber(value: JsonValue | undefined): number | undefined {
  return value instanceof LosslessNumber ? Number(value.value) : undefined
}

/**
 * Text as Python's json.dump(value, indent=n) writes it: ASCII only, `": "` and newline-indent separators, numbers as they were read, no
 * final newline. Key order is kept, except that whole-number keys come first (a property of JavaScript objects).
 */
export function stringifyLikePython(value: JsonValue, indent: number): string {
  return write(value, indent, 0)
}

function readValue(scanner: JsonScanner, depth: number): JsonValue {
  if (depth > MAX_DEPTH) return scanner.fail(`nested more than ${String(MAX_DEPTH)} levels deep`)
  switch (scanner.peek()) {
    case '{': {
      const object: JsonObject = Object.create(null) as JsonObject
      scanner.object(MAX_ENTRIES, (key) => {
        object[key] = readValue(scanner, depth + 1)
      })
      return object
    }
    case '[': {
      const items: JsonValue[] = []
      scanner.array(MAX_ENTRIES, () => {
        items.push(readValue(scanner, depth + 1))
      })
      return items
    }
    case '"':
      return scanner.string()
    default:
      if (scanner.accept('true')) return true
      if (scanner.accept('false')) return false
      if (scanner.accept('null')) return null
      return new LosslessNumber(scanner.number())
  }
}

function write(value: JsonValue, indent: number, depth: number): string {
  if (value === null || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return escapeAscii(value)
  if (value instanceof LosslessNumber) return value.value
  const inner = `\n${' '.repeat(indent * (depth + 1))}`
  const outer = `\n${' '.repeat(indent * depth)}`
  if (Array.isArray(value)) {
    if (value.length === 0) return '[]'
    return `[${value.map((item) => `${inner}${write(item, indent, depth + 1)}`).join(',')}${outer}]`
  }
  const members = Object.entries(value)
  if (members.length === 0) return '{}'
  const lines = members.map(([key, item]) => `${inner}${escapeAscii(key)}: ${write(item, indent, depth + 1)}`)
  return `{${lines.join(',')}${outer}}`
}

/** Python escapes everything outside printable ASCII, by UTF-16 unit, in lower-case hex. */
function escapeAscii(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}

function invalid(code: ErrorCode, subject: string, problem: string): AppError {
  return new AppError(code, { subject, problem, remedy: 'get an undamaged copy of this file' })
}
