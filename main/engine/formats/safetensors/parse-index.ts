/**
 * Reads model.safetensors.index.json: which tensor is in which shard, in the order of the file. Scanned into a Map, never into an
 * object, so that any tensor name keeps its place (objects reorder numeric keys and give `__proto__` a meaning).
 */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { JsonScanner, JsonSyntaxError } from '../json-scanner.ts'
import { MAX_INDEX_ENTRIES, MAX_NAME_CHARACTERS } from './limits.ts'

/** CWE-22: a shard name is one plain segment inside the checkpoint folder. */
const PLAIN_NAME = /^(?!\.)[^/\\:\u0000-\u001f]{1,242}\.safetensors$/
/** CWE-674: nesting below members that are skipped, such as `metadata`. */
const MAX_DEPTH = 32

/**
 * Tensor name -> shard file name, in file order. Members other than `weight_map` are checked for syntax and ignored.
 * Throws INDEX_INVALID, and PATH_ESCAPES_CHECKPOINT for a shard name that is not a plain .safetensors file name.
 */
export function parseIndex(text: string, fileName: string): ReadonlyMap<string, string> {
  const scanner = new JsonScanner(text)
  let shards: ReadonlyMap<string, string> | undefined
  try {
    scanner.object(MAX_INDEX_ENTRIES, (key) => {
      if (key === 'weight_map') shards = readWeightMap(scanner, fileName)
      else skipValue(scanner, 0)
    })
    scanner.end()
  } catch (error: unknown) {
    if (!(error instanceof JsonSyntaxError)) throw error
    throw invalid(fileName, `it is malformed at character ${String(error.position)}: ${error.message}`)
  }
  if (shards === undefined) throw invalid(fileName, 'there is no weight_map object')
  return shards
}

function readWeightMap(scanner: JsonScanner, fileName: string): ReadonlyMap<string, string> {
  const shards = new Map<string, string>()
  scanner.object(MAX_INDEX_ENTRIES, (name) => {
    if (name.length > MAX_NAME_CHARACTERS) {
      scanner.fail(`a tensor name has more than ${String(MAX_NAME_CHARACTERS)} characters`)
    }
    const shard = scanner.string()
    if (!PLAIN_NAME.test(shard)) {
      throw new AppError('PATH_ESCAPES_CHECKPOINT', {
        subject: `${fileName}: ${name}`,
        problem: `${JSON.stringify(shard.slice(0, 200))} is not the name of a .safetensors file in this folder`,
        remedy: 'do not use this checkpoint, its index points elsewhere',
      })
    }
    shards.set(name, shard)
  })
  return shards
}

function skipValue(scanner: JsonScanner, depth: number): void {
  if (depth > MAX_DEPTH) scanner.fail(`nested more than ${String(MAX_DEPTH)} levels deep`)
  const next = scanner.peek()
  if (next === '{') {
    scanner.object(MAX_INDEX_ENTRIES, () => {
      skipValue(scanner, depth + 1)
    })
  } else if (next === '[') {
    scanner.array(MAX_INDEX_ENTRIES, () => {
      skipValue(scanner, depth + 1)
    })
  } else if (next === '"') scanner.string()
  else if (!scanner.accept('true') && !scanner.accept('false') && !scanner.accept('null')) scanner.number()
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('INDEX_INVALID', { subject, problem, remedy: 'get an undamaged copy of the index' })
}
