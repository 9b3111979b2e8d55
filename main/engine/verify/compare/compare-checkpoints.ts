/**
 * Compares two checkpoints matrix by matrix: exports in any dialect, or an export and its source. Decodes both sides in step, in chunks of rows;
 * memory does not grow with the checkpoints beyond their headers.
 */
import {
  COMPARE_LIST_LENGTH,
  type CompareReport,
  type CompareSide,
  type CompareSideName,
  type FormatPair,
  type MatrixDifference,
} from '../../../../shared/domain/compare-report.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'
import type { CheckpointFolder } from '../../io/ports.ts'
import { firstDifference } from '../first-difference.ts'
import { WindowedReader } from '../windowed-reader.ts'
import { CappedList } from './capped-list.ts'
import { compareConfigs, compareFiles } from './compare-configs.ts'
import { openSide, type Comparable, type ComparedSide } from './compared-side.ts'
import { DifferenceSums, ScaleCounts } from './difference-sums.ts'
import { isSameBytes, matrixShape, undecodable, walkValues } from './walk-values.ts'

const EXPERT = /\.layers\.(\d+)\.mlp\.experts\.(\d+)\.[a-z_]+$/
const LAYER = /\.layers\.(\d+)\./

export interface CompareOptions {
  readonly isCancelled?: (() => boolean) | undefined
}

/** Throws CANCELLED, and what opening and reading either side throws. */
export async function compareCheckpoints(
  leftFolder: CheckpointFolder,
  rightFolder: CheckpointFolder,
  { isCancelled = () => false }: CompareOptions = {},
): Promise<CompareReport> {
  const left = await openSide(leftFolder)
  const right = await openSide(rightFolder)
  const comparison = new Comparison(left, right)
  for (const [name, comparable] of left.matrices) {
    if (isCancelled()) throw cancelled()
    await comparison.add(name, comparable)
  }
  comparison.addRest()
  const configs = await compareConfigs(left.checkpoint, right.checkpoint)
  const files = await compareFiles(left.checkpoint, right.checkpoint, isCancelled)
  if (isCancelled()) throw cancelled()
  return { ...comparison.result(), configs, files }
}

class Comparison {
  private readonly left: ComparedSide
  private readonly right: ComparedSide
  private readonly leftReader: WindowedReader
  private readonly rightReader: WindowedReader
  private readonly reference: CompareSideName
  private readonly all = new DifferenceSums()
  private readonly pairs = new Map<
    string,
    { left: string; right: string; sums: DifferenceSums; count: number; same: number }
  >()
  private readonly experts = new Map<number, Map<number, DifferenceSums>>()
  private readonly worst: MatrixDifference[] = []
  private readonly leftScales = new ScaleCounts()
  private readonly rightScales = new ScaleCounts()
  private readonly onlyLeft = new CappedList<string>(COMPARE_LIST_LENGTH)
  private readonly onlyRight = new CappedList<string>(COMPARE_LIST_LENGTH)
  private readonly notComparable = new CappedList<{ name: string; reason: string }>(COMPARE_LIST_LENGTH)
  private compared = 0
  private identical = 0

  constructor(left: ComparedSide, right: ComparedSide) {
    this.left = left
    this.right = right
    this.leftReader = new WindowedReader(left.checkpoint)
    this.rightReader = new WindowedReader(right.checkpoint)
    this.reference = left.kind === 'export' && right.kind === 'checkpoint' ? 'right' : 'left'
  }

  async add(name: string, left: Comparable): Promise<void> {
    const right = this.right.matrices.get(name)
    if (right === undefined) {
      if (!this.right.unreadable.has(name)) this.onlyLeft.add(name)
      return
    }
    const [a, b] = [matrixShape(left), matrixShape(right)]
    if (a[0] !== b[0] || a[1] !== b[1]) {
      this.notComparable.add({ name, reason: `shapes [${a.join(', ')}] and [${b.join(', ')}]` })
      return
    }
    const reason = undecodable(left) ?? undecodable(right)
    if (reason === undefined) {
      this.record(name, left, right, await this.compareValues(left, right))
    } else if (left.kind === 'plain' && right.kind === 'plain' && left.slice.dtype === right.slice.dtype) {
      const isSame = await isSameBytes(
        left.slice,
        this.leftReader,
        right.slice,
        this.rightReader,
        firstDifference,
      )
      if (isSame) this.record(name, left, right, new DifferenceSums())
      else this.notComparable.add({ name, reason: `the bytes differ; ${reason}` })
    } else this.notComparable.add({ name, reason })
  }

  /** What only the right side has, and what neither could read. */
  addRest(): void {
    for (const name of this.right.matrices.keys()) {
      if (!this.left.matrices.has(name) && !this.left.unreadable.has(name)) this.onlyRight.add(name)
    }
    for (const [side, { unreadable }] of [
      ['left', this.left],
      ['right', this.right],
    ] as const) {
      for (const name of unreadable) {
        this.notComparable.add({ name, reason: `its tensors on the ${side} are not as declared` })
      }
    }
  }

  result(): Omit<CompareReport, 'configs' | 'files'> {
    const { left, right, reference } = this
    const layerCount = Math.max(left.layerCount, right.layerCount)
    const expertCount = Math.max(left.expertCount, right.expertCount)
    return {
      left: sideOf(left),
      right: sideOf(right),
      reference,
      layerCount,
      expertCount,
      comparedCount: this.compared,
      identicalCount: this.identical,
      relativeError: this.all.relativeError,
      expertError: Array.from({ length: layerCount }, (_, layer) => {
        const row = this.experts.get(layer)
        if (row === undefined) return null
        return Array.from({ length: expertCount }, (__, expert) => row.get(expert)?.relativeError ?? null)
      }),
      formatPairs: [...this.pairs.values()].map(({ left: a, right: b, sums, count, same }): FormatPair => ({
        left: a,
        right: b,
        matrixCount: count,
        identicalCount: same,
        relativeError: sums.relativeError,
      })),
      worst: this.worst,
      scales: [...this.leftScales.histograms('left'), ...this.rightScales.histograms('right')],
      onlyLeft: this.onlyLeft.counted(),
      onlyRight: this.onlyRight.counted(),
      notComparable: this.notComparable.counted(),
    }
  }

  private async compareValues(left: Comparable, right: Comparable): Promise<DifferenceSums> {
    const sums = new DifferenceSums()
    const others = walkValues(right, this.rightReader)
    for await (const { values, scales } of walkValues(left, this.leftReader)) {
      const other = await others.next()
      if (other.done === true) break
      sums.addValues(values, other.value.values, this.reference)
      this.leftScales.add(left.format, scales)
      this.rightScales.add(right.format, other.value.scales)
    }
    return sums
  }

  private record(name: string, left: Comparable, right: Comparable, sums: DifferenceSums): void {
    const isSame = sums.different === 0 && sums.notFinite === 0
    this.compared += 1
    if (isSame) this.identical += 1
    this.all.add(sums)
    const key = `${left.format}\n${right.format}`
    const pair = this.pairs.get(key) ?? {
      left: left.format,
      right: right.format,
      sums: new DifferenceSums(),
      count: 0,
      same: 0,
    }
    pair.sums.add(sums)
    pair.count += 1
    if (isSame) pair.same += 1
    this.pairs.set(key, pair)
    const expert = EXPERT.exec(name)
    const layerIndex = indexOf(expert?.[1] ?? LAYER.exec(name)?.[1])
    const expertIndex = indexOf(expert?.[2])
    if (layerIndex !== undefined && expertIndex !== undefined && !name.startsWith('mtp.')) {
      this.expertSums(layerIndex, expertIndex).add(sums)
    }
    if (!isSame)
      this.keepWorst({
        name,
        layerIndex,
        expertIndex,
        left: left.format,
        right: right.format,
        ...facts(sums),
      })
  }

  private expertSums(layerIndex: number, expertIndex: number): DifferenceSums {
    let row = this.experts.get(layerIndex)
    if (row === undefined) this.experts.set(layerIndex, (row = new Map<number, DifferenceSums>()))
    let sums = row.get(expertIndex)
    if (sums === undefined) row.set(expertIndex, (sums = new DifferenceSums()))
    return sums
  }

  private keepWorst(difference: MatrixDifference): void {
    const isLarger = (other: MatrixDifference): boolean => other.relativeError < difference.relativeError
    const place = this.worst.findIndex(isLarger)
    if (place === -1 && this.worst.length >= COMPARE_LIST_LENGTH) return
    this.worst.splice(place === -1 ? this.worst.length : place, 0, difference)
    if (this.worst.length > COMPARE_LIST_LENGTH) this.worst.pop()
  }
}

function facts(
  sums: DifferenceSums,
): Pick<MatrixDifference, 'relativeError' | 'largestDifference' | 'notFinite'> {
  return { relativeError: sums.relativeError, largestDifference: sums.largest, notFinite: sums.notFinite }
}

function indexOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}

function sideOf({ checkpoint, kind, dialect, algorithm }: ComparedSide): CompareSide {
  const { displayPath } = checkpoint.folder
  return {
    name: displayPath.split(/[/\\]/).filter(Boolean).at(-1) ?? displayPath,
    displayPath,
    kind,
    dialect,
    algorithm,
    tensorCount: checkpoint.tensors.size,
    tensorBytes: checkpoint.totalTensorBytes,
  }
}

function cancelled(): AppError {
  return new AppError('CANCELLED', {
    subject: 'compare',
    problem: 'it was cancelled',
    remedy: 'start it again',
  })
}
