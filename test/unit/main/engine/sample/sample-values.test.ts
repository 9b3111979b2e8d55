/** Synthetic weights stand in for trained ones in benchmarks and tests: they must be the same everywhere and look like weights. */
import { expect, test } from 'vitest'
import type { SamplePart } from '../../../../../main/engine/sample/sample-tensors.ts'
import { SampleValues } from '../../../../../main/engine/sample/sample-values.ts'

const bytesOf = (values: SampleValues, part: SamplePart, dtype: 'BF16' | 'F32' = 'BF16'): Buffer =>
  Buffer.concat([...values.pieces(part, dtype)].map((piece) => Buffer.from(piece)))

const NORMAL: SamplePart = { key: 'w', elementCount: 100_003, fill: { kind: 'normal', std: 0.02 } }

function floats(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 2 }, (_, i) => {
    const word = Buffer.alloc(4)
    word.writeUInt16LE(bytes.readUInt16LE(2 * i), 2)
    return word.readFloatLE(0)
  })
}

test('same seed and key, same bytes; another seed or key, others', () => {
  const bytes = bytesOf(new SampleValues(7), NORMAL)
  expect(bytes.length).toBe(200_006)
  expect(bytesOf(new SampleValues(7), NORMAL).equals(bytes)).toBe(true)
  expect(bytesOf(new SampleValues(8), NORMAL).equals(bytes)).toBe(false)
  expect(bytesOf(new SampleValues(7 + 2 ** 32), NORMAL).equals(bytes)).toBe(false)
  expect(bytesOf(new SampleValues(7), { ...NORMAL, key: 'v' }).equals(bytes)).toBe(false)
})

test('values are finite, centred, of the asked spread, with rare large ones', () => {
  const values = floats(bytesOf(new SampleValues(1), NORMAL))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const std = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
  expect(values.every(Number.isFinite)).toBe(true)
  expect(Math.abs(mean)).toBeLessThan(0.0005)
  expect(std).toBeGreaterThan(0.0195)
  expect(std).toBeLessThan(0.0205)
  expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.06)
})

test('A_log is the logarithm of a value from 1 to 16, in F32', () => {
  const part: SamplePart = {
    key: 'A_log',
    elementCount: 1000,
    fill: { kind: 'log_uniform', low: 1, high: 16 },
  }
  const bytes = bytesOf(new SampleValues(1), part, 'F32')
  const values = Array.from({ length: 1000 }, (_, i) => bytes.readFloatLE(4 * i))
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...values)).toBeLessThanOrEqual(Math.log(16))
})
