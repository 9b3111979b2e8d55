/** Tensors that are carried over or stay unquantized against the source, byte for byte. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { isMtp, isVision } from '../models/qwen3_5-moe/carried-tensors.ts'
import type { ScaleContext } from './check-scales.ts'
import { isSameShape } from './check-parts.ts'
import type { ExpectedModel } from './expected-model.ts'
import type { Findings } from './findings.ts'
import { firstDifference } from './first-difference.ts'
import { asBf16Bytes, isFloat } from './read-floats.ts'
import type { SourceView } from './source-view.ts'
import { foldedCopy } from '../smoothing/fold-values.ts'
import type { StoredTensors } from './stored-tensors.ts'
import { WindowedReader } from './windowed-reader.ts'

const CHUNK_BYTES = 4 * 1024 * 1024
export const NO_VECTORS = 'quantmill/smoothing.safetensors has no vectors that fit this tensor'

export interface SourceContext extends ScaleContext {
  readonly source: SourceView
  readonly tensors: StoredTensors
  /** Relative error of every matrix that is compared: root of (sum of squared errors / sum of squared weights). */
  readonly onMatrixError?: ((module: string, relativeError: number) => void) | undefined
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

type CopyRule = 'carried.mtp' | 'carried.vision' | 'source.unquantized'

/** MTP, vision and every other tensor that is not quantized. `quantized` = modules whose weight is not a copy. */
export async function checkCopies(quantized: ReadonlySet<string>, context: SourceContext): Promise<void> {
  const { source, tensors, findings, isCancelled } = context
  const sourceReader = new WindowedReader(source.checkpoint)
  for (const tensor of tensors.all.values()) {
    if (isCancelled()) return
    const original = originalOf(tensor, quantized, source)
    if (original === 'missing')
      findings.add(ruleOf(tensor.name), tensor.name, 'the source does not have this tensor')
    else if (original !== undefined) await compareBytes(tensor, original, sourceReader, context)
  }
  for (const { name } of source.checkpoint.tensors.values()) {
    if (!CARRIED.includes(source.model.roles.get(name) ?? '') || !tensors.isMissing(name)) continue
    findings.add(ruleOf(name), name, 'the source has this tensor, the export does not')
  }
}

/** Roles of source tensors that must be in the export under their own names. */
const CARRIED: readonly string[] = ['mtp', 'vision', 'other']

/** What a tensor must be a copy of; undefined when it is not a copy, or when the names have been judged by other rules. */
function originalOf(
  { name, dtype }: TensorSlice,
  quantized: ReadonlySet<string>,
  source: SourceView,
): TensorSlice | 'missing' | undefined {
  const original = source.checkpoint.tensors.get(name)
  if (ruleOf(name) !== 'source.unquantized') return original ?? 'missing'
  if (!isFloat(dtype)) return undefined
  const module = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : ''
  return quantized.has(module) ? undefined : (original ?? source.matrixOf(module))
}

function ruleOf(name: string): CopyRule {
  return isMtp(name) ? 'carried.mtp' : isVision(name) ? 'carried.vision' : 'source.unquantized'
}

async function compareBytes(
  tensor: TensorSlice,
  original: TensorSlice,
  sourceReader: WindowedReader,
  { reader, findings, source }: SourceContext,
): Promise<void> {
  const { name, dtype, shape, sizeBytes } = tensor
  const rule = ruleOf(name)
  if (!isSameShape(shape, original.shape)) {
    if (rule !== 'source.unquantized') findings.add(rule, name, 'the source has another shape')
    return
  }
  const sourceDtype = original.dtype
  const isRounded = dtype !== sourceDtype
  // ModelOpt loads vision and text in BF16; the MTP block it copies as it is.
  if (isRounded && (dtype !== 'BF16' || rule === 'carried.mtp' || !isFloat(sourceDtype))) {
    findings.add(rule, name, `it is ${dtype}, the source has ${sourceDtype}`)
    return
  }
  const ratio = original.sizeBytes / Math.max(1, sizeBytes)
  const fold = source.foldOf(name.replace(/\.weight$/, ''), original)
  if (fold === 'missing') {
    findings.add(rule, name, NO_VECTORS)
    return
  }
  for (let from = 0; from < sizeBytes; from += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, sizeBytes - from)
    const own = await reader.read(tensor, from, length)
    const stored = await sourceReader.read(original, from * ratio, length * ratio)
    const other = fold === undefined ? stored : foldedCopy(original, fold, from * ratio, stored)
    const at = firstDifference(
      own,
      isRounded && isFloat(sourceDtype) ? asBf16Bytes(sourceDtype, other) : other,
    )
    if (at === -1) continue
    findings.add(rule, name, `byte ${String(from + at)} differs from the source`)
    return
  }
}
