/**
 * Hidden states of all calibration tokens and the expert inputs of the current layer, on this side: as much of them in memory as the limit
 * allows, the rest in a scratch file. Where a number lies changes nothing about it. The limit does not count the runs themselves, whose
 * size follows from the model alone (maxRunTokens), so that statistics do not depend on a machine's memory.
 */
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import type { ScratchFile } from '../io/ports.ts'
import {
  cutBatches,
  maxRunTokens,
  type MicroBatch,
  type TokenBatch,
  type TokenPart,
} from './hidden-states.ts'
import { StateMatrix, type RowPart } from './state-matrix.ts'

export interface StateMemory {
  /** Bytes that hidden states and expert inputs may take. */
  readonly limitBytes: number
  /** Called once, when they do not fit. */
  readonly openScratch: () => ScratchFile
}

/** Bytes of hidden states and expert inputs of `tokens` tokens, f32. */
export function stateBytes({ hiddenSize }: Pick<QwenTextConfig, 'hiddenSize'>, tokens: number): number {
  return 2 * 4 * hiddenSize * tokens
}

export class StoredStates {
  readonly batches: readonly MicroBatch[]
  readonly tokenCount: number
  readonly hidden: StateMatrix
  readonly normed: StateMatrix

  /** Without `memory` nothing is spilled. Throws what cutBatches throws, and what opening the scratch file throws. */
  constructor(batches: readonly TokenBatch[], config: QwenTextConfig, memory?: StateMemory) {
    const parts = cutBatches(batches, config, maxRunTokens(config)).map((part) => ({
      ...part,
      rows: part.batch * part.time,
    }))
    this.tokenCount = parts.reduce((sum, { rows }) => sum + rows, 0)
    const { hiddenSize } = config
    const place = placeParts(parts, stateBytes(config, this.tokenCount), hiddenSize, memory?.limitBytes)
    const file = place.isSpilled ? memory?.openScratch() : undefined
    const spillAt = (baseBytes: number): { file: ScratchFile; baseBytes: number } | undefined =>
      file === undefined ? undefined : { file, baseBytes }
    this.hidden = new StateMatrix(parts, hiddenSize, place.hidden, spillAt(0))
    this.normed = new StateMatrix(parts, hiddenSize, place.normed, spillAt(4 * hiddenSize * this.tokenCount))
    this.batches = parts.map((part, index) => new StoredBatch(part, index, this.hidden, this.normed))
  }
}

/** How many of the parts stay in memory: hidden states first, which a layer changes three times, then expert inputs, which it writes once. */
function placeParts(
  parts: readonly RowPart[],
  allBytes: number,
  width: number,
  limitBytes = Infinity,
): { readonly isSpilled: boolean; readonly hidden: number; readonly normed: number } {
  if (allBytes <= limitBytes) return { isSpilled: false, hidden: parts.length, normed: parts.length }
  const bytesOf = ({ rows }: RowPart): number => 4 * width * rows
  // One part of each on its way from or to the file.
  let left = limitBytes - 2 * Math.max(...parts.map(bytesOf))
  const count = (): number => {
    let resident = 0
    for (; resident < parts.length; resident += 1) {
      const part = parts[resident]
      if (part === undefined || bytesOf(part) > left) break
      left -= bytesOf(part)
    }
    return resident
  }
  const hidden = count()
  return { isSpilled: true, hidden, normed: hidden < parts.length ? 0 : count() }
}

class StoredBatch implements MicroBatch {
  readonly batch: number
  readonly time: number
  readonly ids: Int32Array
  readonly firstRow: number
  private readonly index: number
  private readonly hiddenStates: StateMatrix
  private readonly expertInputs: StateMatrix

  constructor(part: TokenPart, index: number, hidden: StateMatrix, normed: StateMatrix) {
    this.batch = part.batch
    this.time = part.time
    this.ids = part.ids
    this.firstRow = part.firstRow
    this.index = index
    this.hiddenStates = hidden
    this.expertInputs = normed
  }

  get hidden(): Float32Array<ArrayBuffer> {
    return this.hiddenStates.read(this.index)
  }

  get normed(): Float32Array<ArrayBuffer> {
    return this.expertInputs.read(this.index)
  }
}
