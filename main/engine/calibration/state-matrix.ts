/**
 * One vector for every calibration token, f32 [tokens, width], cut into parts of consecutive rows. The first parts are in memory, the others in
 * a scratch file from which whole parts or single rows are fetched. Every layer visits all parts in turn several times, so which part is
 * where is fixed from the start: a cache that keeps what was used last would never have what comes next. Values do not depend on it.
 */
import type { ScratchFile } from '../io/ports.ts'
import { byteView } from '../tensor/byte-view.ts'
import { addScaledRows, gatherRows, type RowSpan } from '../tensor/row-math.ts'
import type { RoutedRows } from './hidden-states.ts'

const ITEM_BYTES = 4
/** Rows between two wanted ones that are fetched along: copying them costs less than another call of the system. */
const MAX_GAP_ROWS = 4

/** Rows `firstRow..firstRow+rows-1`. */
export interface RowPart {
  readonly firstRow: number
  readonly rows: number
}

/** Where rows go that memory does not hold; row r is at `baseBytes` + 4 · width · r. */
export interface SpillPlace {
  readonly file: ScratchFile
  readonly baseBytes: number
}

export class StateMatrix {
  readonly width: number
  private readonly parts: readonly RowPart[]
  /** The first `resident.length` parts. */
  private readonly resident: readonly Float32Array<ArrayBuffer>[]
  private readonly spill: SpillPlace | undefined
  /** Rows on their way from or to the file; as long as the longest part there. */
  private readonly transfer: Float32Array<ArrayBuffer>

  /** `parts` follow one another; without `spill` all of them must be resident. Memory starts as zeros, the file undefined. */
  constructor(parts: readonly RowPart[], width: number, residentCount: number, spill?: SpillPlace) {
    this.width = width
    this.parts = parts
    this.spill = spill
    this.resident = parts.slice(0, residentCount).map(({ rows }) => new Float32Array(rows * width))
    const longest = Math.max(0, ...parts.slice(residentCount).map(({ rows }) => rows))
    this.transfer = new Float32Array(longest * width)
  }

  /** Values of a part, f32 [rows, width]; to be read only, until the next call of anything here. */
  read(index: number): Float32Array<ArrayBuffer> {
    const resident = this.resident[index]
    if (resident !== undefined) return resident
    const { firstRow, rows } = this.partAt(index)
    return this.fetch(firstRow, rows)
  }

  /** Replaces the values of a part. */
  write(index: number, values: Float32Array): void {
    const resident = this.resident[index]
    if (resident === undefined) this.store(this.partAt(index).firstRow, values)
    else resident.set(values)
  }

  /** Replaces row `row` of part `index`, counted within the part. */
  writeRow(index: number, row: number, values: Float32Array): void {
    const resident = this.resident[index]
    if (resident === undefined) this.store(this.partAt(index).firstRow + row, values)
    else resident.set(values, row * this.width)
  }

  /** target[i] = matrix[rows[from + i]], f32 [to − from, width]. */
  gather(routed: RoutedRows, target: Float32Array): void {
    this.forEachSpan(routed, (matrix, span) => {
      gatherRows(matrix, this.width, span, target, span.from - routed.from)
      return 'unchanged'
    })
  }

  /** matrix[rows[from + i]] += weights[from + i] · values[i]. */
  addScaled(routed: RoutedRows, values: Float32Array): void {
    this.forEachSpan(routed, (matrix, span) => {
      addScaledRows(matrix, this.width, span, routed.weights, values, span.from - routed.from)
      return 'changed'
    })
  }

  /** Visits the wanted rows in pieces that are in memory at that moment. */
  private forEachSpan(
    { rows, from, to }: RoutedRows,
    visit: (matrix: Float32Array, span: RowSpan) => 'changed' | 'unchanged',
  ): void {
    let position = from
    for (const [index, part] of this.parts.entries()) {
      const endRow = part.firstRow + part.rows
      const begin = position
      while (position < to && (rows[position] ?? endRow) < endRow) position += 1
      const resident = this.resident[index]
      if (resident !== undefined) {
        if (position > begin) visit(resident, { rows, from: begin, to: position, baseRow: part.firstRow })
      } else {
        for (let next = begin; next < position;) next = this.visitRun(rows, next, position, visit)
      }
      if (position === to) return
    }
  }

  /** Fetches the rows from entry `begin` on that lie close together, and puts them back when they have changed. Returns the next entry. */
  private visitRun(
    rows: Int32Array,
    begin: number,
    end: number,
    visit: (matrix: Float32Array, span: RowSpan) => 'changed' | 'unchanged',
  ): number {
    const baseRow = rows[begin] ?? 0
    let lastRow = baseRow
    let to = begin + 1
    for (; to < end; to += 1) {
      const row = rows[to] ?? 0
      if (row - lastRow > MAX_GAP_ROWS + 1) break
      lastRow = row
    }
    const fetched = this.fetch(baseRow, lastRow - baseRow + 1)
    if (visit(fetched, { rows, from: begin, to, baseRow }) === 'changed') this.store(baseRow, fetched)
    return to
  }

  private fetch(firstRow: number, rows: number): Float32Array<ArrayBuffer> {
    const { file, baseBytes } = this.place()
    const values = this.transfer.subarray(0, rows * this.width)
    file.read(byteView(values), baseBytes + firstRow * this.width * ITEM_BYTES)
    return values
  }

  private store(firstRow: number, values: Float32Array): void {
    const { file, baseBytes } = this.place()
    file.write(byteView(values), baseBytes + firstRow * this.width * ITEM_BYTES)
  }

  private place(): SpillPlace {
    if (this.spill === undefined) throw new Error('there is no scratch file for these rows')
    return this.spill
  }

  private partAt(index: number): RowPart {
    const part = this.parts[index]
    if (part === undefined) throw new Error(`there is no part ${String(index)}`)
    return part
  }
}
