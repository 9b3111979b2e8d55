/** Files beside the weights against those of the source. */
import { parseJsonObject, stringifyLikePython, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { CheckpointFolder, FolderEntry } from '../io/ports.ts'
import type { Findings } from './findings.ts'
import { firstDifference } from './first-difference.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
const DOCUMENT =
  /^(readme|license|licence|notice|changelog|usage_policy|\.git)|\.(md|png|jpe?g|gif|svg|pdf)$/i
/** Written by transformers on export: same values in another order, with its own version, are the same file. */
const REWRITTEN = 'generation_config.json'
const REWRITTEN_KEYS = ['transformers_version', 'do_sample', '_from_model_config']
const MAX_JSON_BYTES = 16 * 1024 * 1024

/** Tokenizer, template, processor files and documents. */
export async function checkSideFiles(
  own: { readonly folder: CheckpointFolder; readonly sideFiles: readonly FolderEntry[] },
  source: { readonly folder: CheckpointFolder; readonly sideFiles: readonly FolderEntry[] },
  { findings, isCancelled }: { readonly findings: Findings; readonly isCancelled: () => boolean },
): Promise<void> {
  const sizes = new Map(own.sideFiles.map(({ name, sizeBytes }) => [name, sizeBytes]))
  for (const { name, sizeBytes } of source.sideFiles) {
    if (isCancelled()) return
    const rule = DOCUMENT.test(name) ? 'source.documents' : 'source.side-files'
    const size = sizes.get(name)
    if (size === undefined) findings.add(rule, name, 'the source has this file, the export does not')
    else if (size === sizeBytes && (await isSameFile(own.folder, source.folder, name, size))) continue
    else if (name === REWRITTEN && (await isSameJson(own.folder, source.folder, name))) continue
    else findings.add(rule, name, 'it differs from the file of the source')
  }
}

/** Same bytes, streamed; both have `size` bytes. */
export async function isSameFile(
  a: CheckpointFolder,
  b: CheckpointFolder,
  name: string,
  size: number,
): Promise<boolean> {
  for (let from = 0; from < size; from += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, size - from)
    const [left, right] = [await a.readRange(name, from, length), await b.readRange(name, from, length)]
    if (firstDifference(left, right) !== -1) return false
  }
  return true
}

async function isSameJson(a: CheckpointFolder, b: CheckpointFolder, name: string): Promise<boolean> {
  const texts: string[] = []
  for (const folder of [a, b]) {
    const values = parseJsonObject(await folder.readAll(name, MAX_JSON_BYTES), name)
    const kept = Object.entries(values).filter(([key]) => !REWRITTEN_KEYS.includes(key))
    const sorted: Record<string, JsonValue> = Object.fromEntries(kept.sort(([x], [y]) => (x < y ? -1 : 1)))
    texts.push(stringifyLikePython(sorted, 0))
  }
  return texts[0] === texts[1]
}
