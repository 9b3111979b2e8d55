/** Two distributions over four tokens, added in parts of two, against sums over all four at once. */
import { describe, expect, test } from 'vitest'
import { HeadSums, type PairPart } from '../../../../../main/engine/quality/head-sums.ts'

const A = [1, 3, 0, 2]
const B = [3, 2.5, 0.5, 1]
const TARGET = 2

/** What the graph returns for tokens `from`..`from + 1`. */
function part(from: number): PairPart {
  const [a, b] = [A.slice(from, from + 2), B.slice(from, from + 2)]
  const side = (logits: readonly number[]): PairPart['a'] => ({
    maximum: Float32Array.of(Math.max(...logits)),
    sum: Float32Array.of(logits.reduce((sum, x) => sum + Math.exp(x - Math.max(...logits)), 0)),
    chosen: Float32Array.of(logits[TARGET - from] ?? logits[0]),
    place: Int32Array.of(logits.indexOf(Math.max(...logits))),
  })
  const weighted = a.reduce((sum, x, i) => sum + Math.exp(x - Math.max(...a)) * (x - b[i]), 0)
  return { a: side(a), b: side(b), weighted: Float32Array.of(weighted) }
}

const softmax = (logits: readonly number[]): number[] => {
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0)
  return logits.map((x) => Math.exp(x) / total)
}

describe.each([
  ['ascending parts', [0, 2]],
  ['descending parts', [2, 0]],
])('%s', (_name, order) => {
  const sums = new HeadSums(1)
  for (const from of order) sums.add(0, from, [TARGET >= from && TARGET < from + 2], part(from))
  const row = sums.row(0)

  test('losses of the target', () => {
    expect(row.lossA).toBeCloseTo(-Math.log(softmax(A)[TARGET]), 6)
    expect(row.lossB).toBeCloseTo(-Math.log(softmax(B)[TARGET]), 6)
  })

  test('divergence of the quantized from the original, in this direction', () => {
    const [p, q] = [softmax(A), softmax(B)]
    const forward = p.reduce((sum, x, i) => sum + x * Math.log(x / q[i]), 0)
    const backward = q.reduce((sum, x, i) => sum + x * Math.log(x / p[i]), 0)
    expect(Math.abs(forward - backward)).toBeGreaterThan(0.01)
    expect(row.divergence).toBeCloseTo(forward, 6)
  })

  test('first choices: token 1 and token 0', () => {
    expect(row.isSameChoice).toBe(false)
  })
})

test('equal models: no divergence, the same choice', () => {
  const sums = new HeadSums(1)
  for (const from of [0, 2]) {
    const { a } = part(from)
    sums.add(0, from, [from === 2], { a, b: a, weighted: Float32Array.of(0) })
  }
  const { divergence, isSameChoice } = sums.row(0)
  expect([divergence, isSameChoice]).toEqual([0, true])
})
