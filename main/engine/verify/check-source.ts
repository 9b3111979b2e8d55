/** An export against the checkpoint it was made from: same model, carried tensors and files bit-identical, weights within their bounds. */
import type { FormatError } from '../../../shared/domain/verify-report.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { parseJsonObject, stringifyLikePython, type JsonValue } from '../formats/hf-config/lossless-json.ts'
import type { CheckpointFolder, FolderEntry } from '../io/ports.ts'
import { isMtp, isVision } from '../models/qwen3_5-moe/carried-tensors.ts'
import { bf16ToF32Array } from '../tensor/bf16.ts'
import type { SoundMatrix } from './check-tensors.ts'
import type { ScaleContext } from './check-scales.ts'
import { isSameShape } from './check-tensors.ts'
import { decodeChunks, type DecodedChunk } from './decode-chunks.ts'
import { errorBound, largestBlockError, largestError, type ErrorBound } from './error-bound.ts'
import type { ExpectedModel } from './expected-model.ts'
import type { Findings } from './findings.ts'
import { asBf16 } from './read-floats.ts'
import type { SourceView } from './source-view.ts'
import type { StoredTensors } from './stored-tensors.ts'
import { WindowedReader } from './windowed-reader.ts'

const CHUNK_BYTES = 4 * 1024 * 1024

export interface SourceContext extends ScaleContext {
  readonly source: SourceView
  readonly tensors: StoredTensors
}

/** False when the source is another model, so that comparing tensors would say nothing. */
export function checkModel(model: ExpectedModel, source: SourceView, findings: Findings): boolean {
  const differing = Object.entries(source.model.text).flatMap(([key, value]) => {
    const own: unknown = Object.entries(model.text).find(([name]) => name === key)?.[1]
    return JSON.stringify(own) === JSON.stringify(value) ? [] : [key]
  })
  for (const key of differing)
    findings.add('source.model', `config.json: ${key}`, 'the source has another value')
  if (model.prefix !== source.model.prefix) {
    findings.add('source.model', model.prefix, `the text tower of the source is ${source.model.prefix}`)
  }
  return differing.length === 0 && model.prefix === source.model.prefix
}

/** MTP, vision and every other tensor that is not quantized. */
export async function checkCopies(quantized: ReadonlySet<string>, context: SourceContext): Promise<void> {
  const { source, tensors, findings, isCancelled } = context
  const sourceReader = new WindowedReader(source.checkpoint)
  for (const tensor of tensors.all.values()) {
    if (isCancelled()) return
    const { name } = tensor
    const rule = ruleOf(name)
    const original = source.checkpoint.tensors.get(name)
    if (rule !== 'source.unquantized') {
      if (original === undefined) findings.add(rule, name, 'the source does not have this tensor')
      else await compareBytes(rule, tensor, original, sourceReader, context)
      continue
    }
    const module = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : undefined
    if (module !== undefined && quantized.has(module)) continue
    const same = original ?? (module === undefined ? undefined : source.matrixOf(module))
    if (same !== undefined && ['BF16', 'F16', 'F32'].includes(tensor.dtype)) {
      await compareBytes(rule, tensor, same, sourceReader, context)
    }
  }
  for (const { name } of source.checkpoint.tensors.values()) {
    const role = source.model.roles.get(name)
    const isCarried = role === 'mtp' || role === 'vision' || role === 'other'
    if (isCarried && tensors.isMissing(name))
      findings.add(ruleOf(name), name, 'the source has this tensor, the export does not')
  }
}

function ruleOf(name: string): 'carried.mtp' | 'carried.vision' | 'source.unquantized' {
  return isMtp(name) ? 'carried.mtp' : isVision(name) ? 'carried.vision' : 'source.unquantized'
}

async function compareBytes(
  rule: 'carried.mtp' | 'carried.vision' | 'source.unquantized',
  tensor: TensorSlice,
  original: TensorSlice,
  sourceReader: WindowedReader,
  { reader, findings }: SourceContext,
): Promise<void> {
  const { name, dtype, shape, sizeBytes } = tensor
  if (!isSameShape(shape, original.shape)) {
    if (rule !== 'source.unquantized') findings.add(rule, name, 'the source has another shape')
    return
  }
  // ModelOpt loads vision and text in BF16; the MTP block it copies as it is.
  const isRounded = dtype !== original.dtype
  if (isRounded && (dtype !== 'BF16' || rule === 'carried.mtp')) {
    findings.add(rule, name, `it is ${dtype}, the source has ${original.dtype}`)
    return
  }
  const ratio = original.sizeBytes / Math.max(1, sizeBytes)
  for (let from = 0; from < sizeBytes; from += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, sizeBytes - from)
    const own = await reader.read(tensor, from, length)
    const other = await sourceReader.read(original, from * ratio, length * ratio)
    const expected = isRounded ? new Uint8Array(asBf16(original.dtype, other).buffer) : other
    const at = firstDifference(own, expected)
    if (at === -1) continue
    findings.add(rule, name, `byte ${String(from + at)} differs from the source`)
    return
  }
}

export function firstDifference(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return Math.min(a.length, b.length)
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return at
  return -1
}

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
  { findings, isCancelled }: Pick<SourceContext, 'findings' | 'isCancelled'>,
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

async function isSameFile(
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

interface ErrorSums {
  readonly format: string
  readonly bound: ErrorBound
  matrixCount: number
  squaredError: number
  squaredWeights: number
  largestShare: number
}

/** Compares decoded weights with the source. Returns sums by format. */
export async function checkErrors(
  quantized: readonly SoundMatrix[],
  context: SourceContext,
): Promise<{ readonly errors: readonly FormatError[]; readonly matrixCount: number }> {
  const sums = new Map<string, ErrorSums>()
  const sourceReader = new WindowedReader(context.source.checkpoint)
  for (const sound of quantized) {
    if (context.isCancelled()) break
    const { module } = sound.matrix
    const original = context.source.matrixOf(module)
    if (context.broken.has(module) || original === undefined || sound.stored.hasZeroPoint) continue
    const bound = errorBound(sound.stored)
    const key = `${sound.stored.name} ${bound.kind}`
    const sum = sums.get(key) ?? {
      format: sound.stored.name,
      bound,
      matrixCount: 0,
      squaredError: 0,
      squaredWeights: 0,
      largestShare: 0,
    }
    sums.set(key, sum)
    await compareMatrix(sound, original, sourceReader, sum, context)
  }
  const list = [...sums.values()]
  return {
    matrixCount: list.reduce((total, { matrixCount }) => total + matrixCount, 0),
    errors: list.map(({ format, bound, matrixCount, squaredError, squaredWeights, largestShare }) => ({
      format,
      matrixCount,
      relativeError: squaredWeights === 0 ? 0 : Math.sqrt(squaredError / squaredWeights),
      largestShareOfBound: largestShare,
      bound: bound.text,
    })),
  }
}

interface Violation {
  count: number
  first: string
}

async function compareMatrix(
  sound: SoundMatrix,
  original: TensorSlice,
  sourceReader: WindowedReader,
  sum: ErrorSums,
  { reader, findings }: SourceContext,
): Promise<void> {
  const { module, rows, cols } = sound.matrix
  if (!isSameShape(original.shape, [rows, cols])) return
  const rowBytes = original.sizeBytes / rows
  const violation: Violation = { count: 0, first: '' }
  for await (const chunk of decodeChunks(sound, reader)) {
    const bytes = await sourceReader.read(original, chunk.firstRow * rowBytes, chunk.rowCount * rowBytes)
    compareChunk(bf16ToF32Array(asBf16(original.dtype, bytes)), chunk, cols, sum, violation)
  }
  sum.matrixCount += 1
  if (violation.count === 0) return
  const problem = `${violation.first}; ${String(violation.count)} place(s) beyond the bound of ${sum.format} (${sum.bound.text})`
  findings.add('source.error', module, problem)
}

function compareChunk(
  weights: Float32Array,
  { values, scales, runLength, firstRow, tensorScale }: DecodedChunk,
  cols: number,
  sum: ErrorSums,
  violation: Violation,
): void {
  const { bound } = sum
  const place = (index: number): string =>
    `[${String(firstRow + Math.floor(index / cols))}, ${String(index % cols)}]`
  for (let run = 0; run * runLength < values.length; run += 1) {
    const scale = scales[run] ?? Number.NaN
    const end = Math.min(values.length, (run + 1) * runLength)
    let squared = 0
    let amax = 0
    for (let index = run * runLength; index < end; index += 1) {
      const w = weights[index] ?? Number.NaN
      const v = values[index] ?? Number.NaN
      const error = Math.abs(w - v)
      squared += error * error
      sum.squaredWeights += w * w
      if (Math.abs(w) > amax) amax = Math.abs(w)
      const allowed = largestError(bound, w, v, scale)
      if (error <= allowed) {
        if (error > sum.largestShare * allowed) sum.largestShare = error / allowed
        continue
      }
      violation.count += 1
      sum.largestShare = Math.max(sum.largestShare, error / allowed)
      if (violation.count === 1)
        violation.first = `at ${place(index)} the source is ${String(w)}, the export ${String(v)}`
    }
    sum.squaredError += squared
    if (!bound.hasBlockBound) continue
    const allowed = largestBlockError(amax, tensorScale ?? Number.NaN, end - run * runLength)
    if (squared <= allowed) continue
    violation.count += 1
    if (violation.count === 1)
      violation.first = `the block at ${place(run * runLength)} has a root mean square error of ${String(Math.sqrt(squared / runLength))}`
  }
}
