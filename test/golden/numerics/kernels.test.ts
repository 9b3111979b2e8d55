/** WASM kernels against every case of the reference set (cuda profile). Catches a kernel that rounds, packs or clamps differently. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { KernelArena } from '../../../main/engine/kernels/wasm/kernel-arena.ts'
import type { EncodedMatrix } from '../../../main/engine/quant/encode-reference.ts'
import { scanBf16 } from '../../../main/engine/tensor/amax.ts'
import { encodeInArena, loadKernels } from '../../tools/load-kernels.ts'
import {
  f32Bytes,
  formatOf,
  inputNames,
  readInput,
  readJson,
  rowsOf,
  shortHash,
  type FusedCase,
  type GoldenCase,
  type GroupCase,
} from './numeric-fixtures.ts'

let arena: KernelArena
beforeAll(async () => {
  arena = await loadKernels()
})

function expectEncoded(item: GoldenCase, { weight, weightScale, weightScale2 }: EncodedMatrix): void {
  const scale2 = weightScale2 === undefined ? [] : [f32Bytes(weightScale2)]
  expect([weight, weightScale, ...scale2].map(shortHash)).toEqual(item.tensors.map(({ cuda }) => cuda))
}

test.each(inputNames)('scan of %s', (name) => {
  const { bits } = readInput(name)
  arena.reserve(bits.byteLength, 0)
  arena.input().set(new Uint8Array(bits.buffer))
  expect(arena.scanBf16(0, bits.length)).toEqual({ amax: scanBf16(bits).amax, isFinite: true })
})

describe('encoders', () => {
  test.each(readJson<GoldenCase[]>('single.json'))('$format of $input', (item) => {
    const matrix = readInput(item.input)
    const amax = scanBf16(matrix.bits).amax
    expectEncoded(item, encodeInArena(arena, formatOf(item.format), matrix, amax))
  })

  test.each(readJson<FusedCase[]>('fused.json'))('$format of rows $rows of $input', (item) => {
    const matrix = readInput(item.input)
    const [begin, end] = item.rows ?? [0, matrix.rows / 2]
    const fused = { matrix, startRow: begin, totalRows: matrix.rows }
    const encode = (): EncodedMatrix =>
      encodeInArena(
        arena,
        formatOf(item.format),
        rowsOf(matrix, begin, end),
        scanBf16(matrix.bits).amax,
        fused,
      )
    if (item.raises === true) expect(encode).toThrow(/BLOCK_SIZE_UNSUPPORTED/)
    else expectEncoded(item, encode())
  })

  test.each(readJson<GroupCase[]>('group.json'))('$format of $input in its group', (item) => {
    const matrix = readInput(item.input)
    const amax = item.amax ?? scanBf16(matrix.bits).amax
    expectEncoded(item, encodeInArena(arena, formatOf(item.format), matrix, amax))
  })
})
