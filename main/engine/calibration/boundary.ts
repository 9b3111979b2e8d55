/**
 * The state of a calibration between two layers, as a file: the statistics so far and the hidden states that enter the next layer, from which
 * a later run goes on as if it had never stopped. Layout: u64 length of the head (little endian), the head as JSON, the statistics as
 * a calibration dump, what quality was measured so far as JSON, the hidden states as f32 [tokens, H], and those of the quantized model on the
 * first tokens. Which bytes they are is vouched for by a hash elsewhere (journal.jsonl).
 */
import type { LayerQuality } from '../../../shared/domain/quality-report.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ScratchFile } from '../io/ports.ts'
import { byteView } from '../tensor/byte-view.ts'
import type { LayerPass } from './layer-pass.ts'

/** What a state must agree in with the calibration that goes on from it. */
export interface BoundaryKey {
  /** Everything else that the hidden states depend on, as a digest. */
  readonly inputs: string
  readonly tokenCount: number
  readonly hiddenSize: number
  /** Tokens of the quantized model's states; 0 = quality is not measured, and what a state has of it is left alone. */
  readonly qualityTokens: number
}

/** Where states come from and go to. */
export interface BoundaryPasses<Name extends 'exportStates' | 'importStates'> {
  readonly original: Pick<LayerPass, Name>
  /** undefined: quality is not measured. */
  readonly quantized?: Pick<LayerPass, Name> | undefined
}

export interface Boundary {
  /** The state is that before layer `layersDone`. */
  readonly layersDone: number
  /** A calibration dump of these layers. */
  readonly stats: Uint8Array<ArrayBuffer>
  /** Of these layers; empty when it is not measured. */
  readonly quality: readonly LayerQuality[]
}

interface Head extends BoundaryKey {
  readonly schema: 2
  readonly layersDone: number
  readonly statsBytes: number
  readonly qualityBytes: number
}

const LENGTH_BYTES = 8
/** CWE-770: the head is some hundred bytes; statistics are bounded as a dump is (512 MiB). */
const MAX_HEAD_BYTES = 4096
const MAX_STATS_BYTES = 512 * 1024 * 1024
const MAX_QUALITY_BYTES = 64 * 1024 * 1024

/** Writes the state of the passes. Throws what reading the states and writing throw. */
export async function writeBoundary(
  file: ScratchFile,
  { inputs, tokenCount, hiddenSize, qualityTokens }: BoundaryKey,
  { layersDone, stats, quality }: Boundary,
  { original, quantized }: BoundaryPasses<'exportStates'>,
): Promise<void> {
  const measured = new TextEncoder().encode(JSON.stringify(quality))
  const head: Head = {
    schema: 2,
    inputs,
    tokenCount,
    hiddenSize,
    qualityTokens,
    layersDone,
    statsBytes: stats.length,
    qualityBytes: measured.length,
  }
  const json = new TextEncoder().encode(JSON.stringify(head))
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  file.write(length, 0)
  file.write(json, LENGTH_BYTES)
  file.write(stats, LENGTH_BYTES + json.length)
  file.write(measured, LENGTH_BYTES + json.length + stats.length)
  const rowBytes = 4 * hiddenSize
  const statesBegin = LENGTH_BYTES + json.length + stats.length + measured.length
  await original.exportStates((firstRow, hidden) => {
    file.write(byteView(hidden), statesBegin + rowBytes * firstRow)
  })
  await quantized?.exportStates((firstRow, hidden) => {
    file.write(byteView(hidden), statesBegin + rowBytes * (tokenCount + firstRow))
  })
}

/** What is in a file of `sizeBytes`. Throws JOURNAL_INVALID when it is not the state of this calibration, READ_FAILED. */
export function readBoundary(file: ScratchFile, sizeBytes: number, key: BoundaryKey): Boundary {
  const { head, begin } = readHead(file, sizeBytes)
  for (const name of ['inputs', 'tokenCount', 'hiddenSize'] as const) {
    if (head[name] !== key[name]) throw unusable('it belongs to other data or another device')
  }
  if (key.qualityTokens !== 0 && head.qualityTokens !== key.qualityTokens) {
    throw unusable('it was kept without the measurement of quality that is asked for now')
  }
  if (sizeBytes !== begin + head.statsBytes + head.qualityBytes + statesBytes(head)) {
    throw unusable(`${String(sizeBytes)} bytes are not what its head says`)
  }
  const stats = new Uint8Array(head.statsBytes)
  file.read(stats, begin)
  if (key.qualityTokens === 0) return { layersDone: head.layersDone, stats, quality: [] }
  const measured = new Uint8Array(head.qualityBytes)
  file.read(measured, begin + stats.length)
  return { layersDone: head.layersDone, stats, quality: parseQuality(measured, head.layersDone) }
}

/** Gives the hidden states of a file that readBoundary has accepted to the passes, instead of embedding. */
export async function restoreStates(
  file: ScratchFile,
  sizeBytes: number,
  { original, quantized }: BoundaryPasses<'importStates'>,
): Promise<void> {
  const { head } = readHead(file, sizeBytes)
  const rowBytes = 4 * head.hiddenSize
  const statesBegin = sizeBytes - statesBytes(head)
  await original.importStates((firstRow, hidden) => {
    file.read(byteView(hidden), statesBegin + rowBytes * firstRow)
  })
  await quantized?.importStates((firstRow, hidden) => {
    file.read(byteView(hidden), statesBegin + rowBytes * (head.tokenCount + firstRow))
  })
}

function statesBytes({ tokenCount, qualityTokens, hiddenSize }: Head): number {
  return 4 * hiddenSize * (tokenCount + qualityTokens)
}

/** Its bytes are those that were written, which a hash has vouched for. */
function parseQuality(bytes: Uint8Array, layersDone: number): readonly LayerQuality[] {
  const layers: unknown = JSON.parse(new TextDecoder().decode(bytes))
  if (!Array.isArray(layers) || layers.length !== layersDone) {
    throw unusable('it lacks layers that were measured')
  }
  return layers as readonly LayerQuality[]
}

function readHead(file: ScratchFile, sizeBytes: number): { readonly head: Head; readonly begin: number } {
  if (sizeBytes < LENGTH_BYTES) throw unusable('it is too short')
  const length = new Uint8Array(LENGTH_BYTES)
  file.read(length, 0)
  const headBytes = Number(new DataView(length.buffer).getBigUint64(0, true))
  if (headBytes > MAX_HEAD_BYTES || headBytes > sizeBytes - LENGTH_BYTES) throw unusable('it has no head')
  const json = new Uint8Array(headBytes)
  file.read(json, LENGTH_BYTES)
  const head = parseHead(new TextDecoder().decode(json))
  if (head === undefined) throw unusable('its head cannot be read')
  return { head, begin: LENGTH_BYTES + headBytes }
}

function parseHead(text: string): Head | undefined {
  try {
    const value = JSON.parse(text) as Partial<Head> | null
    const { schema, inputs, tokenCount, hiddenSize, layersDone } = value ?? {}
    const { qualityTokens, statsBytes, qualityBytes } = value ?? {}
    const counts = [tokenCount, hiddenSize, layersDone, qualityTokens, statsBytes, qualityBytes]
    const isWhole = counts.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
    const isBounded = Number(statsBytes) <= MAX_STATS_BYTES && Number(qualityBytes) <= MAX_QUALITY_BYTES
    return schema === 2 && typeof inputs === 'string' && isWhole && isBounded ? (value as Head) : undefined
  } catch {
    return undefined
  }
}

function unusable(problem: string): AppError {
  return new AppError('JOURNAL_INVALID', {
    subject: 'calibration state',
    problem,
    remedy: 'calibration starts from its first layer again',
  })
}
