/** Differences between the JSON files of two checkpoints, and which other files differ. */
import {
  COMPARE_LIST_LENGTH,
  type CompareReport,
  type ConfigDifference,
  type CountedList,
} from '../../../../shared/domain/compare-report.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../../checkpoint/checkpoint.ts'
import {
  asNumber,
  asObject,
  parseJsonObject,
  stringifyLikePython,
  type JsonObject,
  type JsonValue,
} from '../../formats/hf-config/lossless-json.ts'
import { isSameFile } from '../check-side-files.ts'
import { CappedList } from './capped-list.ts'

const CONFIG_FILES = [
  'config.json',
  'hf_quant_config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'tokenizer_config.json',
]
const MAX_CONFIG_BYTES = 64 * 1024 * 1024
const MAX_VALUE_CHARACTERS = 160

export async function compareConfigs(
  left: Checkpoint,
  right: Checkpoint,
): Promise<CountedList<ConfigDifference>> {
  const list = new CappedList<ConfigDifference>(COMPARE_LIST_LENGTH)
  for (const fileName of CONFIG_FILES) {
    const [a, b] = [await readConfig(left, fileName), await readConfig(right, fileName)]
    if (a !== undefined && b !== undefined) diffObjects(fileName, '', a, b, list)
    else if (a !== undefined) list.add({ fileName, path: '', left: 'present', right: undefined })
    else if (b !== undefined) list.add({ fileName, path: '', left: undefined, right: 'present' })
  }
  return list.counted()
}

/** undefined when the file does not exist or is not a JSON object: then it is compared as any other file. */
async function readConfig({ folder }: Checkpoint, fileName: string): Promise<JsonObject | undefined> {
  if ((await folder.sizeOf(fileName)) === undefined) return undefined
  try {
    return parseJsonObject(await folder.readAll(fileName, MAX_CONFIG_BYTES), fileName)
  } catch (error: unknown) {
    if (error instanceof AppError && error.code === 'CONFIG_INVALID') return undefined
    throw error
  }
}

function diffObjects(
  fileName: string,
  prefix: string,
  left: JsonObject,
  right: JsonObject,
  list: CappedList<ConfigDifference>,
): void {
  for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const path = prefix === '' ? key : `${prefix}.${key}`
    const [a, b] = [left[key], right[key]]
    const [objectA, objectB] = [asObject(a), asObject(b)]
    if (objectA !== undefined && objectB !== undefined) diffObjects(fileName, path, objectA, objectB, list)
    else if (isStringList(a) && isStringList(b)) diffLists(fileName, path, a, b, list)
    else if (asNumber(a) === undefined || asNumber(a) !== asNumber(b)) {
      const [textA, textB] = [textOf(a), textOf(b)]
      if (textA !== textB) list.add({ fileName, path, left: clip(textA), right: clip(textB) })
    }
  }
}

/** Lists of names, such as exclude lists, are sets: only what one side has more is of interest. */
function diffLists(
  fileName: string,
  path: string,
  left: readonly string[],
  right: readonly string[],
  list: CappedList<ConfigDifference>,
): void {
  const [a, b] = [new Set(left), new Set(right)]
  for (const entry of a) if (!b.has(entry)) list.add({ fileName, path, left: clip(entry), right: undefined })
  for (const entry of b) if (!a.has(entry)) list.add({ fileName, path, left: undefined, right: clip(entry) })
}

function isStringList(value: JsonValue | undefined): value is string[] {
  return Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string')
}

function textOf(value: JsonValue | undefined): string | undefined {
  return value === undefined ? undefined : stringifyLikePython(value, 0).replaceAll('\n', ' ').trim()
}

function clip(text: string | undefined): string | undefined {
  if (text === undefined || text.length <= MAX_VALUE_CHARACTERS) return text
  return `${text.slice(0, MAX_VALUE_CHARACTERS)}…`
}

/** Side files of either, by name. */
export async function compareFiles(
  left: Checkpoint,
  right: Checkpoint,
  isCancelled: () => boolean,
): Promise<CompareReport['files']> {
  const files: { fileName: string; state: CompareReport['files'][number]['state'] }[] = []
  const sizes = new Map(right.sideFiles.map(({ name, sizeBytes }) => [name, sizeBytes]))
  for (const { name, sizeBytes } of left.sideFiles) {
    if (isCancelled()) break
    const other = sizes.get(name)
    sizes.delete(name)
    if (other === undefined) files.push({ fileName: name, state: 'left' })
    else {
      const isSame = other === sizeBytes && (await isSameFile(left.folder, right.folder, name, sizeBytes))
      files.push({ fileName: name, state: isSame ? 'same' : 'different' })
    }
  }
  for (const name of sizes.keys()) files.push({ fileName: name, state: 'right' })
  return files.slice(0, COMPARE_LIST_LENGTH)
}
