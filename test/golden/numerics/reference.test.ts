/** Reference encoders against every case of the reference set, both profiles. Catches any wrong rounding, clamp, packing or scale. */
import { describe, expect, test } from 'vitest'
import { encodeMatrix, type EncodedMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { NumericProfile } from '../../../main/engine/quant/formats.ts'
import { storedParts, type FusedHalf } from '../../../main/engine/quant/layout.ts'
import { scanBf16 } from '../../../main/engine/tensor/amax.ts'
import {
  f32Bytes,
  formatOf,
  readInput,
  readJson,
  rowsOf,
  shortHash,
  type FusedCase,
  type GoldenCase,
  type GroupCase,
} from './numeric-fixtures.ts'

const PROFILES: readonly NumericProfile[] = ['cuda', 'cpu']

function hashes(encoded: EncodedMatrix): readonly (readonly [string, string])[] {
  const { weight, weightScale, weightScale2 } = encoded
  return [
    ['weight', shortHash(weight)],
    ['weight_scale', shortHash(weightScale)],
    ...(weightScale2 === undefined ? [] : [['weight_scale_2', shortHash(f32Bytes(weightScale2))] as const]),
  ]
}

function expected(item: GoldenCase, profile: NumericProfile): readonly (readonly [string, string])[] {
  return item.tensors.map(({ suffix, cuda, cpu }) => [suffix, profile === 'cpu' ? (cpu ?? cuda) : cuda])
}

function expectLayout(item: GoldenCase, rows: number, cols: number, fused?: FusedHalf): void {
  const parts = storedParts(formatOf(item.format), rows, cols, fused)
  expect(parts).toEqual(item.tensors.map(({ suffix, dtype, shape }) => ({ suffix, dtype, shape })))
}

describe.each(PROFILES)('%s profile', (profile) => {
  test.each(readJson<GoldenCase[]>('single.json'))('$format of $input', (item) => {
    const matrix = readInput(item.input)
    expectLayout(item, matrix.rows, matrix.cols)
    expect(hashes(encodeMatrix(formatOf(item.format), matrix, profile))).toEqual(expected(item, profile))
  })

  test.each(readJson<FusedCase[]>('fused.json'))('$format of rows $rows of $input', (item) => {
    const matrix = readInput(item.input)
    const [begin, end] = item.rows ?? [0, matrix.rows / 2]
    const half = rowsOf(matrix, begin, end)
    const fused = { matrix, startRow: begin, totalRows: matrix.rows }
    const encode = (): EncodedMatrix =>
      encodeMatrix(formatOf(item.format), half, profile, scanBf16(matrix.bits).amax, fused)
    if (item.raises === true) {
      expect(encode).toThrow(/BLOCK_SIZE_UNSUPPORTED/)
      return
    }
    expectLayout(item, half.rows, half.cols, fused)
    expect(hashes(encode())).toEqual(expected(item, profile))
  })

  test.each(readJson<GroupCase[]>('group.json'))('$format of $input in its group', (item) => {
    const amax =
      item.amax === undefined
        ? undefined
        : Math.max(...item.group.map((name) => scanBf16(readInput(name).bits).amax))
    expect(amax).toBe(item.amax)
    const encoded = encodeMatrix(formatOf(item.format), readInput(item.input), profile, amax)
    expect(hashes(encoded)).toEqual(expected(item, profile))
  })
})
