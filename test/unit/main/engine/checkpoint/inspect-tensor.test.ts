/** Statistics of a tensor against values written here. */
import { expect, test } from 'vitest'
import { inspectTensor } from '../../../../../main/engine/checkpoint/inspect-tensor.ts'
import type { Checkpoint } from '../../../../../main/engine/checkpoint/checkpoint.ts'
import type { Dtype } from '../../../../../shared/domain/dtype.ts'
import { MemoryFolder } from '../../../../fakes/memory-folder.ts'
import { errorOf } from '../../../../tools/expect-error.ts'

function checkpoint(dtype: Dtype, shape: readonly number[], bytes: Uint8Array<ArrayBuffer>): Checkpoint {
  const tensor = { name: 't', dtype, shape, shardIndex: 0, offsetBytes: 3, sizeBytes: bytes.length }
  const file = new Uint8Array(3 + bytes.length)
  file.set(bytes, 3)
  return {
    folder: new MemoryFolder({ 'a.safetensors': file }),
    config: {},
    shards: [
      {
        fileName: 'a.safetensors',
        fileSizeBytes: file.length,
        dataStartBytes: 0,
        metadata: new Map(),
        tensors: [],
      },
    ],
    tensors: new Map([['t', tensor]]),
    sideFiles: [],
    totalTensorBytes: bytes.length,
  }
}

const bf16 = (...patterns: number[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Uint16Array.from(patterns).buffer)

test('BF16: range, moments, zeros, what is not finite, and the largest magnitude of each expert', async () => {
  // 1, -2, 0, -0 | 0.5, NaN, infinity, -1 in two experts of two by two.
  const values = bf16(0x3f80, 0xc000, 0x0000, 0x8000, 0x3f00, 0x7fc0, 0x7f80, 0xbf80)
  const found = await inspectTensor(checkpoint('BF16', [2, 2, 2], values), 't')
  expect(found).toMatchObject({ amax: 2, least: -2, most: 1, valueCount: 8, zeros: 2, notFinite: 2 })
  expect(found.mean).toBeCloseTo(-1.5 / 6, 12)
  expect(found.standardDeviation).toBeCloseTo(Math.sqrt(6.25 / 6 - 0.0625), 12)
  expect(found.amaxByExpert).toEqual([2, 1])
  // Bins of 1/16 from -2 to 2: -2, -1, 0 (twice), 0.5, 1.
  expect(found.histogram.flatMap((count, bin) => (count === 0 ? [] : [[bin, count]]))).toEqual([
    [0, 1],
    [16, 1],
    [32, 2],
    [40, 1],
    [48, 1],
  ])
  expect(found.magnitudes).toEqual({ firstExponent: -1, counts: [1, 2, 1] })
})

test('F32 keeps its exact range although bins follow the upper half of the pattern', async () => {
  const values = new Uint8Array(Float32Array.of(0.1, -0.30000001192092896, 1e-8).buffer)
  const found = await inspectTensor(checkpoint('F32', [3], values), 't')
  expect(found.most).toBe(Math.fround(0.1))
  expect(found.least).toBe(Math.fround(-0.3))
  expect(found.amaxByExpert).toEqual([])
})

test('E4M3: 448 is the largest code, 0x7f is NaN', async () => {
  const found = await inspectTensor(checkpoint('F8_E4M3', [3], Uint8Array.of(0x7e, 0x7f, 0x38)), 't')
  expect(found).toMatchObject({ most: 448, least: 1, notFinite: 1, valueCount: 3 })
})

test('a tensor of nothing but NaN has no range', async () => {
  expect(await inspectTensor(checkpoint('BF16', [1], bf16(0x7fc0)), 't')).toMatchObject({
    amax: 0,
    mean: 0,
    standardDeviation: 0,
    notFinite: 1,
  })
})

test('unknown tensors, dtypes that are no values, and a cancel have their codes', async () => {
  const one = checkpoint('BF16', [1], bf16(0x3f80))
  expect((await errorOf(() => inspectTensor(one, 'u'))).code).toBe('TENSOR_MISSING')
  expect((await errorOf(() => inspectTensor(one, 't', () => true))).code).toBe('CANCELLED')
  const integers = checkpoint('I64', [1], new Uint8Array(8))
  expect((await errorOf(() => inspectTensor(integers, 't'))).code).toBe('DTYPE_UNSUPPORTED')
})
