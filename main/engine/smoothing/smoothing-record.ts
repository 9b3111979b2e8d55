/**
 * `quantmill/smoothing.safetensors` of an export: the vectors its weights were rewritten with, so that they can be compared with their source,
 * and what each was expected to gain. Also the form in which finished layers of an unfinished run are kept. Per vector two tensors:
 *   `<key>`           F32 [width], or [experts, width]
 *   `<key>.estimate`  F64 [copies, 3]: exponent (NaN = left alone), relative error without and with it
 * and `statistics`, U8 [32], a digest of what the vectors were made from, while a run is unfinished.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { buildShardHeader, type HeaderTensor } from '../formats/safetensors/build-header.ts'
import { parseShardHeader } from '../formats/safetensors/parse-header.ts'
import type { SmoothingEstimate, SmoothingVectors } from './smoothing.ts'

export const SMOOTHING_FILE = 'smoothing.safetensors'
/** CWE-770: vectors of every expert of the largest known model take 0.2 GB. */
export const SMOOTHING_LIMIT_BYTES = 1024 * 1024 * 1024

const ESTIMATE_SUFFIX = '.estimate'
const STATISTICS = 'statistics'
const ESTIMATE_FIELDS = 3

export interface SmoothingRecord {
  readonly vectors: SmoothingVectors
  /** By key, one for each copy. */
  readonly estimates: ReadonlyMap<string, readonly SmoothingEstimate[]>
  /** Digest of the statistics; undefined in a finished export. */
  readonly statistics?: Uint8Array | undefined
}

export function mergeRecords(records: Iterable<SmoothingRecord>): SmoothingRecord {
  const vectors = new Map<string, Float32Array>()
  const estimates = new Map<string, readonly SmoothingEstimate[]>()
  for (const record of records) {
    for (const [key, vector] of record.vectors) vectors.set(key, vector)
    for (const [key, list] of record.estimates) estimates.set(key, list)
  }
  return { vectors, estimates }
}

/** Equal records give equal bytes. */
export function writeSmoothingRecord({
  vectors,
  estimates,
  statistics,
}: SmoothingRecord): Uint8Array<ArrayBuffer> {
  const tensors = new Map<string, { readonly head: HeaderTensor; readonly bytes: Uint8Array }>()
  const add = (
    name: string,
    dtype: HeaderTensor['dtype'],
    shape: readonly number[],
    bytes: Uint8Array,
  ): void => {
    tensors.set(name, { head: { name, dtype, shape }, bytes })
  }
  for (const [key, vector] of vectors) {
    const list = estimates.get(key) ?? []
    const copies = Math.max(1, list.length)
    const shape = copies === 1 ? [vector.length] : [copies, vector.length / copies]
    add(key, 'F32', shape, bytesOf(vector))
    const numbers = list.flatMap(({ alpha, errorWithout, errorWith }) => [alpha, errorWithout, errorWith])
    add(
      `${key}${ESTIMATE_SUFFIX}`,
      'F64',
      [list.length, ESTIMATE_FIELDS],
      bytesOf(Float64Array.from(numbers)),
    )
  }
  if (statistics !== undefined) add(STATISTICS, 'U8', [statistics.length], statistics)
  const { header, dataStartBytes, fileSizeBytes, offsets } = buildShardHeader(
    [...tensors.values()].map(({ head }) => head),
  )
  const file = new Uint8Array(fileSizeBytes)
  file.set(header)
  for (const [name, { bytes }] of tensors) {
    file.set(bytes, dataStartBytes + (offsets.get(name)?.beginBytes ?? 0))
  }
  return file
}

/** Throws what parseShardHeader throws, and SMOOTHING_INVALID for vectors that are not finite and positive, or tensors of another kind. */
export function parseSmoothingRecord(file: string, bytes: Uint8Array): SmoothingRecord {
  const vectors = new Map<string, Float32Array>()
  const estimates = new Map<string, readonly SmoothingEstimate[]>()
  let statistics: Uint8Array | undefined
  const { tensors, dataStartBytes } = parseShardHeader(bytes, file, bytes.length)
  for (const { name, dtype, beginBytes, endBytes } of tensors) {
    // A copy, aligned and of its own: a Node Buffer's slice would be neither.
    const data = new Uint8Array(bytes.subarray(dataStartBytes + beginBytes, dataStartBytes + endBytes))
    if (name === STATISTICS && dtype === 'U8') statistics = data
    else if (dtype === 'F64' && name.endsWith(ESTIMATE_SUFFIX)) {
      estimates.set(name.slice(0, -ESTIMATE_SUFFIX.length), estimatesOf(new Float64Array(data.buffer)))
    } else if (dtype === 'F32') {
      const vector = new Float32Array(data.buffer)
      if (!vector.every((value) => value > 0 && Number.isFinite(value)))
        throw invalid(`${file}: ${name}`, 'not every scale is finite and above 0')
      vectors.set(name, vector)
    } else throw invalid(`${file}: ${name}`, `a ${dtype} tensor of this name does not belong there`)
  }
  return { vectors, estimates, statistics }
}

function estimatesOf(numbers: Float64Array): readonly SmoothingEstimate[] {
  return Array.from({ length: Math.floor(numbers.length / ESTIMATE_FIELDS) }, (_, copy) => {
    const [alpha = Number.NaN, errorWithout = 0, errorWith = 0] = numbers.subarray(copy * ESTIMATE_FIELDS)
    return { alpha, errorWithout, errorWith }
  })
}

function bytesOf(values: Float32Array | Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function invalid(subject: string, problem: string): AppError {
  return new AppError('SMOOTHING_INVALID', {
    subject,
    problem,
    remedy: 'get an undamaged copy of the export, or make it again',
  })
}
