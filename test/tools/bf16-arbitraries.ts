/** fast-check generators of finite BF16 data: every pattern, plus the kinds of values that have broken encoders before. */
import type { Bf16Matrix } from '../../main/engine/quant/matrix.ts'
import { f32ToBf16 } from '../../main/engine/tensor/bf16.ts'
import { fc } from './properties.ts'

/** Any finite pattern, both signs: subnormals, zeros of both signs, the largest values. */
const anyPattern = fc
  .tuple(fc.integer({ min: 0, max: 0x7f7f }), fc.boolean())
  .map(([magnitude, isNegative]) => (isNegative ? magnitude | 0x8000 : magnitude))

/** Values like those of a weight: a few binades around one magnitude. */
const weightLike = fc
  .tuple(fc.double({ min: -1, max: 1, noNaN: true }), fc.integer({ min: 0, max: 8 }))
  .map(([value, halvings]) => f32ToBf16(Math.fround(value * 2 ** -halvings)))

/** Multiples of a quarter: quotients land on ties when scales are powers of two. */
const tieLike = fc.integer({ min: -28, max: 28 }).map((quarters) => f32ToBf16(quarters / 4))

const zeroLike = fc.constantFrom(0, 0x8000, 1, 0x8001)

const element = fc.oneof(
  { weight: 6, arbitrary: weightLike },
  { weight: 2, arbitrary: tieLike },
  { weight: 2, arbitrary: zeroLike },
  { weight: 1, arbitrary: anyPattern },
)

/** Small matrices; `colStep` divides the number of columns, `rowStep` that of the rows. Some rows are all of one kind. */
export function bf16Matrix(colStep: number, rowStep = 1): fc.Arbitrary<Bf16Matrix> {
  const shape = fc.record({
    rows: fc.integer({ min: 1, max: 3 }).map((count) => count * rowStep),
    cols: fc.integer({ min: 1, max: Math.max(3, Math.ceil(160 / colStep)) }).map((count) => count * colStep),
  })
  return shape.chain(({ rows, cols }) => {
    const row = fc
      .oneof(
        { weight: 5, arbitrary: fc.constant(element) },
        { weight: 2, arbitrary: fc.constant(anyPattern) },
        { weight: 1, arbitrary: fc.constant(zeroLike) },
        { weight: 1, arbitrary: fc.constant(tieLike) },
      )
      .chain((kind) => fc.array(kind, { minLength: cols, maxLength: cols }))
    return fc
      .array(row, { minLength: rows, maxLength: rows })
      .map((values) => ({ bits: Uint16Array.from(values.flat()), rows, cols }))
  })
}
