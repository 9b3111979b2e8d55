/**
 * The state of a calibration between two layers, as a file: the statistics so far and the hidden states that enter the next layer, from which
 * a later run goes on as if it had never stopped. Layout: u64 length of the head (little endian), the head as JSON, the statistics as
 * a calibration dump, the hidden states as f32 [tokens, H]. Which bytes they are is vouched for by a hash elsewhere (journal.jsonl).
 */
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
}

export interface Boundary {
  /** The state is that before layer `layersDone`. */
  readonly layersDone: number
  /** A calibration dump of these layers. */
  readonly stats: Uint8Array<ArrayBuffer>
}

interface Head extends BoundaryKey {
  readonly schema: 1
  readonly layersDone: number
  readonly statsBytes: number
}

const LENGTH_BYTES = 8
/** CWE-770: the head is some hundred bytes; statistics are bounded as a dump is (512 MiB). */
const MAX_HEAD_BYTES = 4096
const MAX_STATS_BYTES = 512 * 1024 * 1024

/** Writes the state of `pass`. Throws what reading the states and writing throw. */
export async function writeBoundary(
  file: ScratchFile,
  { inputs, tokenCount, hiddenSize }: BoundaryKey,
  { layersDone, stats }: Boundary,
  pass: Pick<LayerPass, 'exportStates'>,
): Promise<void> {
  const head: Head = {
    schema: 1,
    inputs,
    tokenCount,
    hiddenSize,
    layersDone,
    statsBytes: stats.length,
  }
  const json = new TextEncoder().encode(JSON.stringify(head))
  const length = new Uint8Array(LENGTH_BYTES)
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true)
  file.write(length, 0)
  file.write(json, LENGTH_BYTES)
  file.write(stats, LENGTH_BYTES + json.length)
  const statesBegin = LENGTH_BYTES + json.length + stats.length
  await pass.exportStates((firstRow, hidden) => {
    file.write(byteView(hidden), statesBegin + 4 * hiddenSize * firstRow)
  })
}

/** What is in a file of `sizeBytes`. Throws JOURNAL_INVALID when it is not the state of this calibration, READ_FAILED. */
export function readBoundary(file: ScratchFile, sizeBytes: number, key: BoundaryKey): Boundary {
  const { head, begin } = readHead(file, sizeBytes)
  for (const name of ['inputs', 'tokenCount', 'hiddenSize'] as const) {
    if (head[name] !== key[name]) throw unusable('it belongs to other data or another device')
  }
  if (sizeBytes !== begin + head.statsBytes + 4 * head.tokenCount * head.hiddenSize) {
    throw unusable(`${String(sizeBytes)} bytes are not what its head says`)
  }
  const stats = new Uint8Array(head.statsBytes)
  file.read(stats, begin)
  return { layersDone: head.layersDone, stats }
}

/** Gives the hidden states of a file that readBoundary has accepted to `pass`, instead of embedding. */
export function restoreStates(
  file: ScratchFile,
  sizeBytes: number,
  { tokenCount, hiddenSize }: BoundaryKey,
  pass: Pick<LayerPass, 'importStates'>,
): Promise<void> {
  const statesBegin = sizeBytes - 4 * tokenCount * hiddenSize
  return pass.importStates((firstRow, hidden) => {
    file.read(byteView(hidden), statesBegin + 4 * hiddenSize * firstRow)
  })
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
    const { schema, inputs, tokenCount, hiddenSize, layersDone, statsBytes } = value ?? {}
    const counts = [tokenCount, hiddenSize, layersDone, statsBytes]
    const isWhole = counts.every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
    if (schema !== 1 || typeof inputs !== 'string' || !isWhole || Number(statsBytes) > MAX_STATS_BYTES) {
      return undefined
    }
    return value as Head
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
