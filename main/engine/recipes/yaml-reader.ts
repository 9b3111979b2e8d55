/**
 * Typed access to a parsed YAML document that can name line and key of whatever is wrong. Bounded: text size and nesting; no aliases,
 * no tags beyond the core schema. Source: YAML 1.2.
 */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  type Node,
  type YAMLMap,
} from 'yaml'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { RecipePlace } from './recipe.ts'

/** Larger than any recipe by two orders; bounds time and memory of the parser (resource exhaustion). */
export const RECIPE_LIMIT_CHARACTERS = 200_000
const DEPTH_LIMIT = 64
const LINE_LIMIT = 1000
const INDENTATION_LIMIT = 200

/** A value of the document with its place; `undefined` members are absent keys. */
export class YamlValue {
  private readonly node: Node | null
  private readonly file: YamlFile
  readonly key: string
  /** Offset used when the node itself is empty. */
  private readonly parentOffset: number

  constructor(file: YamlFile, node: Node | null, key: string, parentOffset: number) {
    this.file = file
    this.node = node
    this.key = key
    this.parentOffset = parentOffset
  }

  get place(): RecipePlace {
    const { line } = this.file.lines.linePos(this.node?.range?.[0] ?? this.parentOffset)
    return { file: this.file.name, line, key: this.key }
  }

  /** RECIPE_INVALID about this value. */
  invalid(problem: string, remedy = 'correct this key'): AppError {
    return recipeInvalid(this.file.name, this.place, problem, remedy)
  }

  isNull(): boolean {
    return this.node === null || (isScalar(this.node) && this.node.value === null)
  }

  isMapping(): boolean {
    return isMap(this.node)
  }

  isList(): boolean {
    return isSeq(this.node)
  }

  /** The members of a mapping by key text; each key once. Throws RECIPE_INVALID for anything else. */
  entries(): ReadonlyMap<string, YamlValue> {
    if (!isMap(this.node)) throw this.invalid('a mapping is expected')
    return new Map(mapEntries(this.node, (name, value) => this.child(value, this.path(name))))
  }

  /** The members of a mapping that may only have these keys. */
  fields(allowed: readonly string[]): ReadonlyMap<string, YamlValue> {
    const fields = this.entries()
    for (const [name, value] of fields) {
      if (!allowed.includes(name)) {
        throw value.invalid('this key is not known here', `use one of ${allowed.join(', ')}`)
      }
    }
    return fields
  }

  items(): readonly YamlValue[] {
    if (!isSeq(this.node)) throw this.invalid('a list is expected')
    return this.node.items.map((item, index) => this.child(toNode(item), `${this.key}[${String(index)}]`))
  }

  text(): string {
    const value = this.scalar()
    if (typeof value !== 'string') throw this.invalid('a text is expected')
    return value
  }

  number(): number {
    const value = this.scalar()
    if (typeof value !== 'number') throw this.invalid('a number is expected')
    return value
  }

  boolean(): boolean {
    const value = this.scalar()
    if (typeof value !== 'boolean') throw this.invalid('true or false is expected')
    return value
  }

  /** One of the given texts. */
  choice<T extends string>(choices: readonly T[]): T {
    const value = this.scalar()
    const found = choices.find((choice) => choice === value)
    if (found === undefined)
      throw this.invalid(`${shown(value)} is not known here`, `use one of ${choices.join(', ')}`)
    return found
  }

  /** Plain value of a scalar. */
  scalar(): string | number | boolean | null {
    if (this.node === null) return null
    if (!isScalar(this.node)) throw this.invalid('a single value is expected')
    const value = this.node.value
    if (
      value === null ||
      typeof value === 'string' ||
      typeof value === 'number' ||
      typeof value === 'boolean'
    ) {
      return value
    }
    throw this.invalid('a text, number, true, false or null is expected')
  }

  private path(name: string): string {
    return this.key === '' ? name : `${this.key}.${name}`
  }

  private child(node: Node | null, key: string): YamlValue {
    return new YamlValue(this.file, node, key, this.node?.range?.[0] ?? this.parentOffset)
  }
}

interface YamlFile {
  readonly name: string
  readonly lines: LineCounter
}

/** The documents of a recipe text, usually one. Throws RECIPE_INVALID with the line for text that is too long, not YAML, or uses aliases. */
export function readYaml(name: string, text: string): readonly YamlValue[] {
  if (text.length > RECIPE_LIMIT_CHARACTERS) {
    const limit = String(RECIPE_LIMIT_CHARACTERS)
    throw recipeInvalid(
      name,
      undefined,
      `${String(text.length)} characters are more than the limit of ${limit}`,
    )
  }
  refuseDeepNesting(name, text)
  const lines = new LineCounter()
  const options = { uniqueKeys: true, schema: 'core', version: '1.2', prettyErrors: false } as const
  const documents = [...parseAllDocuments(text, { ...options, lineCounter: lines })]
  const file = { name, lines }
  return documents.map((document) => {
    const problem = document.errors[0] ?? document.warnings[0]
    if (problem !== undefined) {
      const line = lines.linePos(problem.pos[0]).line
      throw recipeInvalid(
        name,
        { file: name, line, key: '' },
        `not readable as YAML: ${problem.message}`,
        'correct the text',
      )
    }
    const root = document.contents
    refuseAliases(file, root, 0)
    return new YamlValue(file, root, '', 0)
  })
}

/**
 * The parser recurses and builds regular expressions from indentation, so deep nesting would crash the process (uncontrolled recursion).
 * Levels come from indentation, from indicators within a line, and from brackets: all three are bounded here. No real recipe comes near.
 */
function refuseDeepNesting(name: string, text: string): void {
  let brackets = 0
  for (const [index, line] of text.split('\n').entries()) {
    for (const char of line) {
      if (char === '[' || char === '{') brackets += 1
      else if (char === ']' || char === '}') brackets = Math.max(0, brackets - 1)
    }
    const indentation = line.length - line.trimStart().length
    if (line.length > LINE_LIMIT || indentation > INDENTATION_LIMIT || brackets > DEPTH_LIMIT) {
      throw recipeInvalid(
        name,
        { file: name, line: index + 1, key: '' },
        'this line is too long or nested too deep',
      )
    }
  }
}

export function recipeInvalid(
  name: string,
  place: RecipePlace | undefined,
  problem: string,
  remedy = 'correct the recipe',
): AppError {
  const at = place === undefined ? '' : ` line ${String(place.line)}`
  const key = place === undefined || place.key === '' ? '' : `${place.key}: `
  return new AppError('RECIPE_INVALID', { subject: `${name}${at}`, problem: `${key}${problem}`, remedy })
}

function refuseAliases(file: YamlFile, node: Node | null, depth: number): void {
  if (node === null) return
  const here = new YamlValue(file, node, '', 0)
  if (isAlias(node)) throw here.invalid('aliases are not allowed in recipes', 'write the value out')
  if (depth > DEPTH_LIMIT) throw here.invalid('nested too deep')
  if (isMap(node)) for (const pair of node.items) refuseAliases(file, toNode(pair.value), depth + 1)
  if (isSeq(node)) for (const item of node.items) refuseAliases(file, toNode(item), depth + 1)
}

function mapEntries<T>(map: YAMLMap, read: (name: string, value: Node | null) => T): [string, T][] {
  return map.items.map((pair) => {
    const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
    return [name, read(name, toNode(pair.value))]
  })
}

/** Nodes of a document without aliases are maps, lists or scalars. */
function toNode(value: unknown): Node | null {
  return isMap(value) || isSeq(value) || isScalar(value) || isAlias(value) ? value : null
}

function shown(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : String(value)
}
