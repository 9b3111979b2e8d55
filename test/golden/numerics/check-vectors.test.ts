/** Published check vectors of the packing rules: hand-made cases and one generated tensor, as literals. */
import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import type { KernelArena } from '../../../main/engine/kernels/wasm/kernel-arena.ts'
import { encodeMatrix, type EncodedMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat, NumericProfile, WeightFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'
import { encodeNvfp4Static } from '../../../main/engine/quant/nvfp4-static/reference.ts'
import { blockAmaxes } from '../../../main/engine/quant/nvfp4-static/search.ts'
import { bf16FromF32Array } from '../../../main/engine/tensor/bf16.ts'
import { encodeE4m3, e4m3FromBits } from '../../../main/engine/tensor/e4m3.ts'
import { f32Bits } from '../../../main/engine/tensor/float-bits.ts'
import { encodeInArena, loadKernels } from '../../tools/load-kernels.ts'

const hex = (bytes: Iterable<number>): string =>
  [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ')
const hash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16)
const scale2 = (encoded: EncodedMatrix): string => f32Bits(encoded.weightScale2 ?? Number.NaN).toString(16)
const f32At = (bytes: Uint8Array): string =>
  f32Bits(new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true)).toString(16)

function formatNamed(format: WeightFormat, blockSize?: number): ModuleFormat {
  return { format, blockSize, inputScale: undefined }
}

function matrixOf(rows: readonly (readonly number[])[]): Bf16Matrix {
  const cols = rows[0].length
  return { bits: bf16FromF32Array(Float32Array.from(rows.flat())), rows: rows.length, cols }
}

const padded = (values: readonly number[], length: number): number[] =>
  Array.from({ length }, (_, i) => values[i] ?? 0)

describe('hand-made cases, cuda profile', () => {
  test('NVFP4 block whose maximum is the tensor maximum', () => {
    const encoded = encodeMatrix(formatNamed('nvfp4'), matrixOf([padded([6, 3, 0, -6], 16)]), 'cuda')
    expect(encoded.weightScale2).toBe(Math.fround(6 * Math.fround(1 / 2688)))
    expect(hex(encoded.weightScale)).toBe('7e')
    expect(hex(encoded.weight)).toBe('57 f0 00 00 00 00 00 00')
  })

  test('NVFP4 zero block beside a block with maximum 6', () => {
    const encoded = encodeMatrix(formatNamed('nvfp4'), matrixOf([padded([6], 32)]), 'cuda')
    expect(hex(encoded.weightScale)).toBe('7e 38')
    expect(hex(encoded.weight.subarray(8))).toBe('00 00 00 00 00 00 00 00')
  })

  test.each([
    [6, '7e'],
    [24, '6e'],
  ])('static NVFP4 zero block with tensor maximum %d', (largest, byte) => {
    const encoded = encodeMatrix(formatNamed('nvfp4_static'), matrixOf([padded([largest], 32)]), 'cuda')
    expect(hex(encoded.weightScale.subarray(1))).toBe(byte)
  })

  test.each([
    ['cuda', '7f'],
    ['cpu', 'ff'],
  ] as const)('all-zero tensors in the %s profile', (profile, byte) => {
    const zeros = matrixOf([padded([], 16)])
    const nvfp4 = encodeMatrix(formatNamed('nvfp4'), zeros, profile)
    expect([scale2(nvfp4), hex(nvfp4.weightScale), hex(nvfp4.weight.subarray(0, 2))]).toEqual([
      '0',
      byte,
      '77 77',
    ])
    const fp8 = encodeMatrix(formatNamed('fp8'), zeros, profile)
    expect([hex(fp8.weightScale), hex(fp8.weight.subarray(0, 2))]).toEqual(['00 00 00 00', `${byte} ${byte}`])
  })

  test('zero blocks of the MX formats', () => {
    const zeros = matrixOf([[...padded([], 31), -0]])
    const mxfp4 = encodeMatrix(formatNamed('mxfp4'), zeros, 'cuda')
    expect([hex(mxfp4.weightScale), hash(mxfp4.weight)]).toEqual(['00', hash(new Uint8Array(16).fill(0x88))])
    const mxfp8 = encodeMatrix(formatNamed('mxfp8'), zeros, 'cuda')
    expect([hex(mxfp8.weightScale), hex(mxfp8.weight.subarray(30))]).toEqual(['00', '00 80'])
  })

  test('INT4 packs an even and the next odd row into one byte', () => {
    const rows = [padded([7, -7, 1], 128), padded([-7, 7, 2], 128)]
    const encoded = encodeMatrix(formatNamed('int4_awq', 128), matrixOf(rows), 'cuda')
    expect(hex(encoded.weight.subarray(0, 4))).toBe('97 79 21 00')
  })

  test('FP8 per channel zero row has scale 1 and zero bytes', () => {
    const encoded = encodeMatrix(formatNamed('fp8_pc_pt'), matrixOf([padded([], 4), [1, 2, 3, 4]]), 'cuda')
    expect(f32At(encoded.weightScale)).toBe('3f800000')
    expect(hex(encoded.weight.subarray(0, 4))).toBe('00 00 00 00')
  })

  test('E4M3 casts at the edges', () => {
    const values = [448, 464, 464.0001, 465, 2 ** -10, 1.0001 * 2 ** -10, -0, Infinity, -Infinity, 2 ** -9]
    const bytes = values.map((value) => e4m3FromBits(f32Bits(value), false))
    expect(hex(bytes)).toBe('7e 7e 7f 7f 00 01 80 7f ff 01')
    expect(hex([encodeE4m3(Number.NaN, 'cuda'), encodeE4m3(Number.NaN, 'cpu')])).toBe('7f ff')
    expect(hex([encodeE4m3(500, 'cpu'), encodeE4m3(-Infinity, 'cpu')])).toBe('7e fe')
  })
})

/** w[r, c] = (((131 r + 37 c) mod 509) - 254) / 512 on 128 x 256 with zero, tiny and -0 parts. */
function generated(): Bf16Matrix {
  const rows = Array.from({ length: 128 }, (_, r) =>
    Array.from({ length: 256 }, (__, c) => (((131 * r + 37 * c) % 509) - 254) / 512),
  )
  rows[1].fill(0, 32, 64)
  for (let c = 0; c < 16; c++) rows[2][c] *= 2 ** -20
  rows[3].fill(0)
  rows[4][5] = -0
  return matrixOf(rows)
}

const matrix = generated()

test('the generated tensor is the published one', () => {
  expect(hash(new Uint8Array(matrix.bits.buffer))).toBe('bf4edc98f6bce467')
})

// [format, block size, cuda: scale (f32 hex or hash), data; scale hash of NVFP4], likewise cpu
type Vector = readonly [WeightFormat, number | undefined, readonly string[], readonly string[]]
const VECTORS: readonly Vector[] = [
  [
    'nvfp4',
    16,
    ['39418619', '365e88700ac535f7', '3352d5fab144e929'],
    ['39418618', '365e88700ac535f7', '3352d5fab144e929'],
  ],
  [
    'w4a8_nvfp4_fp8',
    32,
    ['3a912493', 'fe7d6c90c45b42ab', 'd775408dcc5924a0'],
    ['3a912492', 'fe7d6c90c45b42ab', 'd775408dcc5924a0'],
  ],
  [
    'nvfp4_static',
    16,
    ['39418619', 'efb120f2bb831b36', '3352d5fab144e929'],
    ['39418618', 'efb120f2bb831b36', '3352d5fab144e929'],
  ],
  [
    'fp8_pc_pt',
    undefined,
    ['dc92f534c720e07c', '5a3485a1c68692ed'],
    ['7b9b24642950d910', '5a3485a1c68692ed'],
  ],
  [
    'fp8_pb_wo',
    undefined,
    ['9e20da1ee5ad5d59', '00d052d6d09beb7f'],
    ['01cfebac003f54f4', '00d052d6d09beb7f'],
  ],
  ['int8_wo', undefined, ['0afd746d0cd7332f', 'd970aada67992e2e'], ['0afd746d0cd7332f', 'd970aada67992e2e']],
  ['int4_awq', 128, ['e4960e52a7355dce', '7edc48e4ba281f83'], ['0796a36a5a633f74', 'f4c6dae3ee7fdbcb']],
  ['mxfp8', 32, ['60ea34eea46c3c70', '1e670f76d04036c8'], ['60ea34eea46c3c70', '1e670f76d04036c8']],
  ['mxfp4', 32, ['e42b6f3d3fc771bf', '1e066657a544d9f3'], ['e42b6f3d3fc771bf', '1e066657a544d9f3']],
]

function summary(encoded: EncodedMatrix): readonly string[] {
  const hashes = [hash(encoded.weightScale), hash(encoded.weight)]
  return encoded.weightScale2 === undefined ? hashes : [scale2(encoded), ...hashes]
}

describe('generated tensor', () => {
  let arena: KernelArena
  beforeAll(async () => {
    arena = await loadKernels()
  })

  test.each(VECTORS)('%s %s', (format, blockSize, cuda, cpu) => {
    const named = formatNamed(format, blockSize)
    expect(summary(encodeMatrix(named, matrix, 'cuda'))).toEqual(cuda)
    expect(summary(encodeMatrix(named, matrix, 'cpu'))).toEqual(cpu)
    expect(summary(encodeInArena(arena, named, matrix, 0.49609375))).toEqual(cuda)
  })

  test('fp8 per tensor', () => {
    const describeOf = (encoded: EncodedMatrix): string[] => [
      f32At(encoded.weightScale),
      hash(encoded.weight),
    ]
    const fp8 = formatNamed('fp8')
    expect(describeOf(encodeMatrix(fp8, matrix, 'cuda'))).toEqual(['3a912493', 'd21d7e9a08c9d0ef'])
    expect(describeOf(encodeMatrix(fp8, matrix, 'cpu'))).toEqual(['3a912492', 'e4256980556cbffa'])
    expect(describeOf(encodeInArena(arena, fp8, matrix, 0.49609375))).toEqual([
      '3a912493',
      'd21d7e9a08c9d0ef',
    ])
  })

  test.each([
    ['cuda', '39a95556'],
    ['cpu', '39a95555'],
  ] as const)('static NVFP4 at m = 256, %s profile', (profile: NumericProfile, expected) => {
    const weight = new Uint8Array(128 * 128)
    const weightScale = new Uint8Array(128 * 16)
    const options = {
      blockSize: 16,
      largestBlockScale: 256 as const,
      blockAmaxes: blockAmaxes(matrix, 16),
    }
    const tensorScale = encodeNvfp4Static(
      matrix,
      options,
      { profile, tensorAmax: 0.49609375 },
      { weight, weightScale },
    )
    expect([f32Bits(tensorScale).toString(16), hash(weightScale), hash(weight)]).toEqual([
      expected,
      '0fd58641976b7497',
      '8ea0882439692451',
    ])
  })

  test('readable prefixes', () => {
    const nvfp4 = encodeMatrix(formatNamed('nvfp4'), matrix, 'cuda')
    expect(hex(nvfp4.weightScale.subarray(0, 8))).toBe('7e 7d 7e 7e 7e 7d 7e 7e')
    expect(hex(nvfp4.weight.subarray(0, 16))).toBe('ff de bd 0a 42 65 76 ef de bc 19 43 65 77 ff de')
    expect(hex(nvfp4.weightScale.subarray(32, 35))).toBe('01 7d 7e')
    expect(hex(nvfp4.weight.subarray(256, 264))).toBe('00 11 22 b2 aa 99 89 10')
    expect(hex(nvfp4.weightScale.subarray(18, 20))).toBe('38 38')
    const fp8 = encodeMatrix(formatNamed('fp8'), matrix, 'cuda')
    expect(hex(fp8.weight.subarray(0, 16))).toBe('fe fc fa f8 f4 ef e6 51 69 71 75 78 7a 7c fe fc')
    const mxfp4 = encodeMatrix(formatNamed('mxfp4'), matrix, 'cuda')
    expect(hex(mxfp4.weight.subarray(0, 16))).toBe('de cd ab 09 21 44 65 de cd ab 09 32 54 65 de cd')
    const mxfp8 = encodeMatrix(formatNamed('mxfp8'), matrix, 'cuda')
    expect(hex(mxfp8.weightScale.subarray(0, 1))).toBe('76')
    expect(hex(mxfp8.weight.subarray(0, 16))).toBe('f8 f6 f3 f1 ed e9 e0 4a 62 6a 6e 72 74 76 f7 f5')
    const int4 = encodeMatrix(formatNamed('int4_awq', 128), matrix, 'cuda')
    expect(hex(int4.weight.subarray(0, 16))).toBe('d9 ea fb 0c 1d 2e 3f 40 51 62 73 a4 b5 c6 d9 ea')
  })
})
