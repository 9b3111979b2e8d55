/** Rows on disk must behave as rows in memory, whichever are where: a wrong offset, a lost write or a skipped row would show here. */
import { expect, test } from 'vitest'
import { StateMatrix } from '../../../../../main/engine/calibration/state-matrix.ts'
import { MemoryScratch } from '../../../../tools/memory-scratch.ts'
import { fc, runs } from '../../../../tools/properties.ts'

const WIDTH = 3

type Action =
  | { readonly kind: 'write'; readonly part: number; readonly value: number }
  | { readonly kind: 'row'; readonly part: number; readonly row: number; readonly value: number }
  | { readonly kind: 'add'; readonly rows: readonly number[]; readonly value: number }

const actions = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('write' as const), part: fc.nat(4), value: fc.integer() }),
    fc.record({ kind: fc.constant('row' as const), part: fc.nat(4), row: fc.nat(8), value: fc.integer() }),
    fc.record({
      kind: fc.constant('add' as const),
      rows: fc.uniqueArray(fc.nat(44), { maxLength: 20 }),
      value: fc.integer({ min: -100, max: 100 }),
    }),
  ),
  { maxLength: 12 },
)
const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 5, maxLength: 5 })

/** The same in one plain array. */
class PlainRows {
  readonly values: Float32Array
  private readonly starts: readonly number[]
  private readonly lengths: readonly number[]

  constructor(starts: readonly number[], sizes: readonly number[]) {
    this.starts = starts
    this.lengths = sizes
    this.values = new Float32Array(WIDTH * sizes.reduce((sum, size) => sum + size, 0))
  }

  apply(action: Action, matrix: StateMatrix): void {
    const total = this.values.length / WIDTH
    if (action.kind === 'add') {
      const rows = Int32Array.from(action.rows.filter((row) => row < total)).sort()
      const weights = Float32Array.from(rows, (_, entry) => entry + 0.5)
      const added = Float32Array.from({ length: rows.length * WIDTH }, (_, place) => action.value + place)
      matrix.addScaled({ rows, weights, from: 0, to: rows.length }, added)
      rows.forEach((row, entry) => {
        for (let column = 0; column < WIDTH; column += 1) {
          const place = row * WIDTH + column
          const product = (weights[entry] ?? 0) * (added[entry * WIDTH + column] ?? 0)
          this.values[place] = (this.values[place] ?? 0) + product
        }
      })
      return
    }
    const start = this.starts[action.part] ?? 0
    const length = this.lengths[action.part] ?? 0
    const row = action.kind === 'row' ? action.row % length : 0
    const count = action.kind === 'row' ? 1 : length
    const values = Float32Array.from({ length: count * WIDTH }, (_, place) => action.value + place)
    if (action.kind === 'row') matrix.writeRow(action.part, row, values)
    else matrix.write(action.part, values)
    this.values.set(values, (start + row) * WIDTH)
  }
}

test('any mix of parts in memory and on disk holds the same rows', () => {
  fc.assert(
    fc.property(lengths, fc.nat(5), actions, (sizes, residentCount, steps) => {
      const starts = sizes.map((_, index) => sizes.slice(0, index).reduce((sum, size) => sum + size, 0))
      const parts = sizes.map((rows, index) => ({ firstRow: starts[index] ?? 0, rows }))
      const spill = { file: new MemoryScratch(), baseBytes: 20 }
      const matrix = new StateMatrix(parts, WIDTH, residentCount, spill)
      const plain = new PlainRows(starts, sizes)
      for (const [part] of sizes.entries()) plain.apply({ kind: 'write', part, value: 1000 * part }, matrix)
      for (const step of steps) plain.apply(step, matrix)
      const rows = plain.values.length / WIDTH
      const read = sizes.flatMap((_, index) => [...matrix.read(index)])
      expect(read).toEqual([...plain.values])
      const every = Int32Array.from({ length: rows }, (_, row) => row)
      const gathered = new Float32Array((rows - 1) * WIDTH)
      matrix.gather({ rows: every, weights: new Float32Array(rows), from: 1, to: rows }, gathered)
      expect([...gathered]).toEqual([...plain.values.subarray(WIDTH)])
      expect(spill.file.bytesWritten > 0).toBe(residentCount < sizes.length)
    }),
    runs(200),
  )
})

test('rows far apart are fetched alone, rows close together in one piece', () => {
  const file = new MemoryScratch()
  const matrix = new StateMatrix([{ firstRow: 0, rows: 100 }], WIDTH, 0, { file, baseBytes: 0 })
  matrix.write(0, new Float32Array(100 * WIDTH))
  const rows = Int32Array.of(0, 5, 50)
  matrix.gather({ rows, weights: new Float32Array(3), from: 0, to: 3 }, new Float32Array(3 * WIDTH))
  // Rows 0 to 5, and row 50.
  expect(file.bytesRead).toBe((6 + 1) * WIDTH * 4)
})
