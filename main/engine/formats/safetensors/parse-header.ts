/**
 * Reads the header of a safetensors file. Any bytes either give a header whose tensors cover the data section exactly, or a typed `data`
 * error. Source: safetensors format description; the checks are those of the reference implementation plus limits.
 */
import { isDtype, tensorSizeBytes, type Dtype } from '../../../../shared/domain/dtype.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../../../shared/errors/codes.ts'
import { JsonScanner, JsonSyntaxError } from '../json-scanner.ts'
import type { ShardHeader, TensorEntry } from './entry.ts'
import {
  MAX_HEADER_BYTES,
  MAX_METADATA_ENTRIES,
  MAX_NAME_CHARACTERS,
  MAX_RANK,
  MAX_TENSORS_PER_SHARD,
} from './limits.ts'

const LENGTH_BYTES = 8

/**
 * Length of the JSON header from the first 8 bytes of a file (u64, little endian).
 * Throws SAFETENSORS_TRUNCATED when the file is shorter than that, SAFETENSORS_HEADER_INVALID above the limit.
 */
export function readHeaderLength(head: Uint8Array, fileName: string, fileSizeBytes: number): number {
  if (head.length < LENGTH_BYTES || fileSizeBytes < LENGTH_BYTES) {
    throw damaged(
      'SAFETENSORS_TRUNCATED',
      fileName,
      `the file has ${String(fileSizeBytes)} bytes, too few for a header`,
    )
  }
  const length = new DataView(head.buffer, head.byteOffset, head.byteLength).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) {
    const limit = String(MAX_HEADER_BYTES)
    throw damaged(
      'SAFETENSORS_HEADER_INVALID',
      fileName,
      `the header claims ${String(length)} bytes, the limit is ${limit}`,
    )
  }
  if (LENGTH_BYTES + Number(length) > fileSizeBytes) {
    const problem = `the header claims ${String(length)} bytes, the file has ${String(fileSizeBytes)}`
    throw damaged('SAFETENSORS_TRUNCATED', fileName, problem)
  }
  return Number(length)
}

/**
 * Parses the first bytes of a file: 8-byte length and the whole JSON header.
 * Throws SAFETENSORS_TRUNCATED, SAFETENSORS_HEADER_INVALID, TENSOR_DTYPE_INVALID, TENSOR_SHAPE_INVALID, TENSOR_OUT_OF_BOUNDS.
 */
export function parseShardHeader(head: Uint8Array, fileName: string, fileSizeBytes: number): ShardHeader {
  const headerBytes = readHeaderLength(head, fileName, fileSizeBytes)
  const dataStartBytes = LENGTH_BYTES + headerBytes
  if (head.length < dataStartBytes)
    throw damaged('SAFETENSORS_TRUNCATED', fileName, 'the header could not be read completely')
  const metadata = new Map<string, string>()
  const tensors: TensorEntry[] = []
  // The format asks for `{` as the very first byte; only the end may be padded.
  if (head[LENGTH_BYTES] !== 0x7b) {
    throw damaged('SAFETENSORS_HEADER_INVALID', fileName, 'the header does not begin with {')
  }
  const scanner = new JsonScanner(decode(head.subarray(LENGTH_BYTES, dataStartBytes), fileName))
  try {
    scanner.object(MAX_TENSORS_PER_SHARD, (name) => {
      if (name === '__metadata__') {
        scanner.object(MAX_METADATA_ENTRIES, (key) => {
          metadata.set(key, scanner.string())
        })
      } else tensors.push(parseEntry(scanner, name, fileName))
    })
    scanner.end()
  } catch (error: unknown) {
    if (!(error instanceof JsonSyntaxError)) throw error
    const problem = `the header is malformed at character ${String(error.position)}: ${error.message}`
    throw damaged('SAFETENSORS_HEADER_INVALID', fileName, problem)
  }
  checkCoverage(tensors, fileName, fileSizeBytes - dataStartBytes)
  return { fileName, fileSizeBytes, dataStartBytes, metadata, tensors }
}

function parseEntry(scanner: JsonScanner, name: string, fileName: string): TensorEntry {
  if (name.length > MAX_NAME_CHARACTERS)
    scanner.fail(`a tensor name has more than ${String(MAX_NAME_CHARACTERS)} characters`)
  let dtype: Dtype | undefined
  let shape: readonly number[] | undefined
  let offsets: readonly number[] | undefined
  scanner.object(3, (field) => {
    if (field === 'dtype') {
      const text = scanner.string()
      if (!isDtype(text))
        throw damaged('TENSOR_DTYPE_INVALID', `${fileName}: ${name}`, `unknown dtype ${JSON.stringify(text)}`)
      dtype = text
    } else if (field === 'shape') shape = wholeNumbers(scanner, MAX_RANK)
    else if (field === 'data_offsets') offsets = wholeNumbers(scanner, 2)
    else scanner.fail(`unknown field ${JSON.stringify(field)}`)
  })
  const [beginBytes, endBytes] = offsets ?? []
  if (dtype === undefined || shape === undefined || beginBytes === undefined || endBytes === undefined) {
    return scanner.fail(`${JSON.stringify(name)} lacks dtype, shape or data_offsets`)
  }
  const subject = `${fileName}: ${name}`
  if (!hasSafeCount(shape)) {
    throw damaged('TENSOR_SHAPE_INVALID', subject, `the shape [${shape.join(', ')}] has too many elements`)
  }
  if (beginBytes > endBytes) {
    throw damaged(
      'TENSOR_OUT_OF_BOUNDS',
      subject,
      `begins at ${String(beginBytes)} and ends at ${String(endBytes)}`,
    )
  }
  const expectedBytes = tensorSizeBytes(dtype, shape)
  if (endBytes - beginBytes !== expectedBytes) {
    const problem = `${dtype} [${shape.join(', ')}] needs ${String(expectedBytes)} bytes, the offsets span ${String(endBytes - beginBytes)}`
    throw damaged('TENSOR_OUT_OF_BOUNDS', subject, problem)
  }
  return { name, dtype, shape, beginBytes, endBytes }
}

function wholeNumbers(scanner: JsonScanner, maximumCount: number): readonly number[] {
  const numbers: number[] = []
  scanner.array(maximumCount, () => {
    numbers.push(scanner.wholeNumber())
  })
  return numbers
}

/** CWE-190: the element count times 8 bytes stays exact, also on the way to a final zero. */
function hasSafeCount(shape: readonly number[]): boolean {
  let count = 1
  for (const size of shape) {
    count *= size
    if (!Number.isSafeInteger(count * 8)) return false
  }
  return true
}

/** The data section must be covered exactly: no overlap, no hole, nothing behind its end. */
function checkCoverage(tensors: readonly TensorEntry[], fileName: string, dataBytes: number): void {
  const ordered = [...tensors].sort((a, b) => a.beginBytes - b.beginBytes || a.endBytes - b.endBytes)
  let position = 0
  for (const { name, beginBytes, endBytes } of ordered) {
    if (beginBytes !== position) {
      const what = beginBytes < position ? 'overlaps the tensor before it' : 'leaves a hole before it'
      throw damaged(
        'TENSOR_OUT_OF_BOUNDS',
        `${fileName}: ${name}`,
        `begins at ${String(beginBytes)} and ${what}`,
      )
    }
    if (endBytes > dataBytes) {
      const problem = `${name} ends at ${String(endBytes)} of the data, which has ${String(dataBytes)} bytes`
      throw damaged('SAFETENSORS_TRUNCATED', fileName, problem)
    }
    position = endBytes
  }
  if (position !== dataBytes) {
    const problem = `the tensors cover ${String(position)} bytes of data, the file has ${String(dataBytes)}`
    throw damaged(position > dataBytes ? 'SAFETENSORS_TRUNCATED' : 'TENSOR_OUT_OF_BOUNDS', fileName, problem)
  }
}

function decode(bytes: Uint8Array, fileName: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw damaged('SAFETENSORS_HEADER_INVALID', fileName, 'the header is not UTF-8')
  }
}

function damaged(code: ErrorCode, subject: string, problem: string): AppError {
  return new AppError(code, { subject, problem, remedy: 'get an undamaged copy of this file' })
}
