/** Laws of the WASM kernels: same bytes as the reference for any finite input and shape, nothing written outside the regions. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { KernelArena } from '../../../main/engine/kernels/wasm/kernel-arena.ts'
import { encodeMatrix } from '../../../main/engine/quant/encode-reference.ts'
import type { ModuleFormat } from '../../../main/engine/quant/formats.ts'
import type { Bf16Matrix } from '../../../main/engine/quant/matrix.ts'
import { scanBf16 } from '../../../main/engine/tensor/amax.ts'
import { bf16FromF32Array, bf16ToF32 } from '../../../main/engine/tensor/bf16.ts'
import { bf16FromF16Array } from '../../../main/engine/tensor/f16.ts'
import { bf16Matrix } from '../../tools/bf16-arbitraries.ts'
import { encodeInArena, loadKernels } from '../../tools/load-kernels.ts'
import { fc, runs } from '../../tools/properties.ts'

let arena: KernelArena
beforeAll(async () => {
  arena = await loadKernels()
})

const RUNS = runs(200)

// format, block size, columns divisible by, rows divisible by
const FORMATS: readonly (readonly [ModuleFormat, number, number])[] = [
  [named('fp8'), 1, 1],
  [named('fp8_pc_pt'), 1, 1],
  [named('fp8_pb_wo'), 1, 1],
  [named('int8_wo'), 1, 1],
  [named('int8_sq'), 1, 1],
  [named('int4_awq', 128), 128, 2],
  [named('int4_awq', 32), 32, 2],
  [named('int4_awq', 10), 10, 2],
  [named('nvfp4', 16), 16, 1],
  [named('nvfp4', 48), 48, 1],
  [named('w4a16_nvfp4', 32), 32, 1],
  [named('w4a8_nvfp4_fp8', 32), 32, 1],
  [named('w4a16_nvfp4', 512), 512, 1],
  [named('nvfp4_static', 16), 16, 1],
  [{ ...named('w4a16_nvfp4_static', 16), search: 'four_over_six' }, 16, 1],
  [{ ...named('nvfp4_static', 16), search: 'mse' }, 16, 1],
  [{ ...named('nvfp4_static', 32), search: 'four_over_six' }, 32, 1],
  [named('mxfp8', 32), 32, 1],
  [named('mxfp4', 32), 32, 1],
  [named('w4a8_mxfp4_fp8', 32), 32, 1],
]

function named(format: ModuleFormat['format'], blockSize?: number): ModuleFormat {
  return { format, blockSize, inputScale: undefined }
}

function expectSame(format: ModuleFormat, matrix: Bf16Matrix, amax: number): void {
  const kernel = encodeInArena(arena, format, matrix, amax)
  const reference = encodeMatrix(format, matrix, 'cuda', amax)
  // Buffer.compare first: deep equality of long arrays is slow and only needed for its message.
  const isSame =
    Buffer.compare(kernel.weight, reference.weight) === 0 &&
    Buffer.compare(kernel.weightScale, reference.weightScale) === 0 &&
    Object.is(kernel.weightScale2, reference.weightScale2)
  if (!isSame) expect(kernel).toEqual(reference)
}

describe('encoders', () => {
  test.each(FORMATS)('$format block $blockSize', (format, colStep, rowStep) => {
    fc.assert(
      fc.property(bf16Matrix(colStep, rowStep), (matrix) => {
        expectSame(format, matrix, scanBf16(matrix.bits).amax)
      }),
      RUNS,
    )
  })

  test.each(FORMATS.filter(([{ format }]) => format === 'fp8' || format.includes('nvfp4')))(
    '$format block $blockSize with the maximum of a group',
    (format, colStep, rowStep) => {
      fc.assert(
        fc.property(bf16Matrix(colStep, rowStep), fc.integer({ min: 0, max: 0x7f7f }), (matrix, pattern) => {
          expectSame(format, matrix, Math.max(scanBf16(matrix.bits).amax, bf16ToF32(pattern)))
        }),
        RUNS,
      )
    },
  )

  test('fp8_pb_wo with several rows of tiles', () => {
    fc.assert(
      fc.property(bf16Matrix(1, 100), (matrix) => expectSame(named('fp8_pb_wo'), matrix, 0)),
      runs(20),
    )
  })

  test('fp8 for every mantissa of the maximum and every smaller value', () => {
    for (let mantissa = 0; mantissa < 128; mantissa++) {
      const largest = 0x3f80 | mantissa
      const bits = Uint16Array.from({ length: largest + 1 }, (_, i) => i)
      expectSame(named('fp8'), { bits, rows: 1, cols: bits.length }, bf16ToF32(largest))
    }
  })

  test('fp8_pc_pt for every mantissa of the maximum and every smaller value', () => {
    for (let mantissa = 0; mantissa < 128; mantissa++) {
      const bits = Uint16Array.from({ length: (0x3f80 | mantissa) + 1 }, (_, i) => i | 0x8000)
      expectSame(named('fp8_pc_pt'), { bits, rows: 1, cols: bits.length }, 0)
    }
  })

  test.each([named('mxfp8', 32), named('mxfp4', 32)])('$format for every block maximum', (format) => {
    const bits = new Uint16Array(0x7f80 * 32)
    for (let pattern = 0; pattern < 0x7f80; pattern++) {
      for (let i = 0; i < 32; i++)
        bits[pattern * 32 + i] = Math.floor((pattern * (32 - i)) / 32) | ((i & 1) << 15)
    }
    expectSame(format, { bits, rows: 0x7f80, cols: 32 }, 0)
  })
})

describe('halves of a fused expert', () => {
  test.each([1, 96, 128, 150, 256])('fp8_pb_wo of 2 x %i rows', (rows) => {
    const cols = 200
    const bits = Uint16Array.from(
      { length: 2 * rows * cols },
      (_, i) => 0x3c00 + ((i * 2654435761) % 0x380) + (i % 3 === 0 ? 0x8000 : 0),
    )
    const matrix = { bits, rows: 2 * rows, cols }
    for (const startRow of [0, rows]) {
      const half = { bits: bits.slice(startRow * cols, (startRow + rows) * cols), rows, cols }
      const fused = { matrix, startRow, totalRows: 2 * rows }
      const encode = (run: () => unknown): unknown => {
        try {
          return run()
        } catch (error: unknown) {
          return String(error)
        }
      }
      expect(encode(() => encodeInArena(arena, named('fp8_pb_wo'), half, 0, fused))).toEqual(
        encode(() => encodeMatrix(named('fp8_pb_wo'), half, 'cuda', 0, fused)),
      )
    }
  })
})

describe('scans and conversions', () => {
  test('a NaN or an infinity anywhere is found', () => {
    fc.assert(
      fc.property(
        bf16Matrix(1),
        fc.nat(),
        fc.constantFrom(0x7f80, 0xff80, 0x7fc0, 0xffff),
        ({ bits }, at, bad) => {
          const spoiled = Uint16Array.from(bits)
          spoiled[at % bits.length] = bad
          arena.reserve(bits.byteLength, 0)
          arena.input().set(new Uint8Array(spoiled.buffer))
          expect(arena.scanBf16(0, bits.length).isFinite).toBe(false)
        },
      ),
      RUNS,
    )
  })

  test('f32 scan and conversion', () => {
    fc.assert(
      fc.property(fc.float32Array({ minLength: 1, maxLength: 70 }), (values) => {
        arena.reserve(values.byteLength, values.byteLength)
        arena.input().set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
        const magnitudes = [...values].map(Math.abs)
        const hasNan = magnitudes.some(Number.isNaN)
        const { amax, isFinite } = arena.scanF32(0, values.length)
        expect(isFinite).toBe(values.every(Number.isFinite))
        expect(amax).toBe(hasNan ? Number.NaN : Math.max(...magnitudes))
        arena.f32ToBf16(0, values.length, 0)
        const converted = new Uint16Array(arena.output().slice(0, values.length * 2).buffer)
        expect(converted).toEqual(bf16FromF32Array(values))
      }),
      RUNS,
    )
  })

  test('every f16 pattern converts like the reference', () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i)
    arena.reserve(patterns.byteLength, patterns.byteLength)
    arena.input().set(new Uint8Array(patterns.buffer))
    arena.f16ToBf16(0, patterns.length, 0)
    const converted = new Uint16Array(arena.output().slice(0, patterns.byteLength).buffer)
    expect(converted).toEqual(bf16FromF16Array(patterns))
    expect(arena.scanF16(0, 0x7c00)).toEqual({ amax: 65504, isFinite: true })
    expect(arena.scanF16(0, 0x7c01).isFinite).toBe(false)
  })

  test('regions outside the reservation are refused', () => {
    arena.reserve(64, 64)
    const beyond = arena.input().byteLength
    expect(() => arena.scanBf16(beyond, 1)).toThrow(/INVARIANT/)
  })
})
