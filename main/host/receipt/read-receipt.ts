/** Reads `quantmill/receipt.json` of an export: any bytes give a receipt or a CONFIG_INVALID. */
import { join } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import {
  asNumber,
  asObject,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from '../../engine/formats/hf-config/lossless-json.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { RECEIPT_NAME, RECEIPT_SCHEMA } from '../jobs/receipt.ts'

/** CWE-770: the receipt of a 397B export has about 60 MB. */
const MAX_RECEIPT_BYTES = 512 * 1024 * 1024
const DIGEST = /^[0-9a-f]{64}$/
const OWN_FOLDER = 'quantmill'

export interface SourceShardFacts {
  readonly fileName: string
  readonly fileSizeBytes: number
  readonly headerSha256: string
}

export interface SourceRange {
  readonly fileName: string
  readonly offsetBytes: number
  readonly sizeBytes: number
  readonly sha256: string
}

export interface Receipt {
  readonly recipeSha256: string | undefined
  /** By path in the export, with `/`. */
  readonly files: ReadonlyMap<string, string>
  readonly tensors: ReadonlyMap<string, string>
  readonly shards: readonly SourceShardFacts[]
  readonly ranges: readonly SourceRange[]
}

/** The folder of our own files in an export. */
export function ownFolder(exportPath: string): NodeCheckpointFolder {
  return new NodeCheckpointFolder(join(exportPath, OWN_FOLDER))
}

/** Throws READ_FAILED when there is no receipt, FILE_TOO_LARGE, CONFIG_INVALID for anything but a receipt of this schema. */
export async function readReceipt(exportPath: string): Promise<Receipt> {
  return parseReceipt(await ownFolder(exportPath).readAll(RECEIPT_NAME, MAX_RECEIPT_BYTES))
}

/** Throws CONFIG_INVALID. */
export function parseReceipt(bytes: Uint8Array): Receipt {
  const root = parseJsonObject(bytes, RECEIPT_NAME)
  if (asNumber(root['schema']) !== RECEIPT_SCHEMA)
    throw invalid('schema', `it is not ${String(RECEIPT_SCHEMA)}`, 'check it with the version that wrote it')
  const source = asObject(root['source'])
  const recipe = asObject(root['recipe'])?.['sha256']
  const shards = source?.['shards']
  return {
    recipeSha256: typeof recipe === 'string' ? recipe : undefined,
    files: digests(root, 'files'),
    tensors: digests(root, 'tensors'),
    shards: Array.isArray(shards) ? shards.map(readShard) : [],
    ranges: root['sourceRanges'] === undefined ? [] : [...digests(root, 'sourceRanges')].map(readRange),
  }
}

function digests(root: JsonObject, key: string): ReadonlyMap<string, string> {
  const entries = Object.entries(asObject(root[key]) ?? {})
  const isDigest = (entry: [string, JsonValue]): entry is [string, string] =>
    typeof entry[1] === 'string' && DIGEST.test(entry[1])
  if (entries.length === 0) throw invalid(key, 'it is missing')
  if (!entries.every(isDigest)) throw invalid(key, 'a value is not a SHA-256 in hexadecimal digits')
  return new Map(entries)
}

function readShard(value: JsonValue): SourceShardFacts {
  const shard = asObject(value)
  const { fileName, headerSha256 } = shard ?? {}
  const fileSizeBytes = asNumber(shard?.['fileSizeBytes'])
  if (typeof fileName !== 'string' || typeof headerSha256 !== 'string' || fileSizeBytes === undefined)
    throw invalid('source.shards', 'an entry lacks fileName, fileSizeBytes or headerSha256')
  return { fileName, fileSizeBytes, headerSha256 }
}

const RANGE = /^(.+):(\d{1,15})\+(\d{1,15})$/

function readRange([key, sha256]: readonly [string, string]): SourceRange {
  const [, fileName, offset, size] = RANGE.exec(key) ?? []
  if (fileName === undefined)
    throw invalid('sourceRanges', `"${key.slice(0, 100)}" is not shard:offset+length`)
  return { fileName, offsetBytes: Number(offset), sizeBytes: Number(size), sha256 }
}

function invalid(key: string, problem: string, remedy = 'get an undamaged copy of the export'): AppError {
  return new AppError('CONFIG_INVALID', { subject: `${RECEIPT_NAME}: ${key}`, problem, remedy })
}
