/** Static NVFP4: exact bytes for given block maxima, and the searches within the tolerance of the reference (near-ties may differ). */
import { describe, expect, test } from 'vitest'
import { decodeMatrix } from '../../../main/engine/quant/decode-matrix.ts'
import { encodeMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'
import { encodeNvfp4Static } from '../../../main/engine/quant/nvfp4-static/reference.ts'
import {
  blockAmaxes,
  fourOverSixBlockAmaxes,
  sweepBlockAmaxes,
} from '../../../main/engine/quant/nvfp4-static/search.ts'
import { bf16ToF32Array } from '../../../main/engine/tensor/bf16.ts'
import { f32Bytes, readF32, readInput, readJson, shortHash, type StaticCase } from './numeric-fixtures.ts'

const cases = readJson<StaticCase[]>('static.json')
const amaxes = readF32('static-block-amax.f32')
const amaxesOf = (item: StaticCase): Float32Array =>
  amaxes.subarray(item.amaxOffset, item.amaxOffset + item.amaxCount)
const SEARCHES = { max: undefined, mse_sweep: 'mse', four_over_six: 'four_over_six' } as const

describe.each(['cuda', 'cpu'] as const)('%s profile', (profile) => {
  test.each(cases)('$search of $input with given block maxima', (item) => {
    const matrix = readInput(item.input)
    const weight = new Uint8Array((matrix.rows * matrix.cols) / 2)
    const weightScale = new Uint8Array(item.amaxCount)
    const options = { blockSize: 16, largestBlockScale: item.normaliser, blockAmaxes: amaxesOf(item) }
    const context = { profile, tensorAmax: item.globalAmax }
    const scale2 = encodeNvfp4Static(matrix, options, context, { weight, weightScale })
    const got = [weight, weightScale, f32Bytes(scale2)].map(shortHash)
    expect(got).toEqual(item.tensors.map(({ cuda, cpu }) => (profile === 'cpu' ? (cpu ?? cuda) : cuda)))
  })
})

test.each(cases)('$search of $input finds the block maxima', (item) => {
  const matrix = readInput(item.input)
  const found = searchAmaxes(item, matrix)
  const expected = amaxesOf(item)
  const differing = found.filter((amax, block) => amax !== expected[block]).length
  expect(differing).toBeLessThanOrEqual(item.search === 'max' ? 0 : item.amaxCount / 100)
})

test.each(cases)('$search of $input reaches the squared error', (item) => {
  const matrix = readInput(item.input)
  const search = SEARCHES[item.search]
  const format: ModuleFormat = {
    format: 'nvfp4_static',
    blockSize: 16,
    inputScale: undefined,
    ...(search === undefined ? {} : { search }),
  }
  const encoded = encodeMatrix(format, matrix, 'cuda', item.globalAmax)
  const decoded = decodeMatrix(format, { ...encoded, rows: matrix.rows, cols: matrix.cols })
  const original = bf16ToF32Array(matrix.bits)
  const error = original.reduce((sum, value, i) => sum + (value - decoded[i]) ** 2, 0)
  expect(Math.abs(error - item.squaredError)).toBeLessThanOrEqual(1e-4 * item.squaredError)
})

function searchAmaxes(item: StaticCase, matrix: Bf16Matrix): Float32Array {
  if (item.search === 'mse_sweep') return sweepBlockAmaxes(matrix, 16, item.globalAmax)
  if (item.search === 'four_over_six') return fourOverSixBlockAmaxes(matrix, 16, item.globalAmax)
  return blockAmaxes(matrix, 16)
}
