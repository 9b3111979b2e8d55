/** The vectors of AWQ-lite and SmoothQuant against numbers worked out by hand, and that the search does what it is for. */
import { beforeAll, describe, expect, test } from 'vitest'
import type { KernelArena } from '../../../../../main/engine/kernels/wasm/kernel-arena.ts'
import { awqAlphas, awqCandidates } from '../../../../../main/engine/smoothing/awq-scales.ts'
import { smoothedAmaxes } from '../../../../../main/engine/smoothing/channel-inputs.ts'
import { smoothquantScales } from '../../../../../main/engine/smoothing/smoothquant-scales.ts'
import { EMPTY_STATS } from '../../../../../main/engine/calibration/stats.ts'
import { measureWeights } from '../../../../../main/workers/measure-weights.ts'
import { loadKernels } from '../../../../tools/load-kernels.ts'
import { randomNumbers } from '../../../../tools/memory-model.ts'

describe('AWQ-lite', () => {
  test('eleven exponents by default, the last is 1 even where the step does not divide it', () => {
    expect(awqAlphas(0.1)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    expect(awqAlphas(0.4)).toEqual([0, 0.4, 0.8, 1])
    expect(awqAlphas(1)).toEqual([0, 1])
  })

  test('s = x^a / w^(1-a) over the root of largest and smallest; a dead channel keeps 1 and changes no other', () => {
    // a = 0: 1/w = 2, 8, normalised by sqrt(16); a = 1: x = 4, 1, by sqrt(4).
    const [none, zero, one] = awqCandidates(1, [4, 1, 0, 5], [0.5, 0.125, 0.5, 0])
    expect(none?.alpha).toBeNaN()
    expect([...(none?.scales ?? [])]).toEqual([1, 1, 1, 1])
    expect([...(zero?.scales ?? [])]).toEqual([0.5, 2, 1, 1])
    expect([...(one?.scales ?? [])]).toEqual([2, 0.5, 1, 1])
  })

  test('channels without any data keep 1', () => {
    for (const { scales } of awqCandidates(0.5, [0, 0], [1, 1])) expect([...scales]).toEqual([1, 1])
  })
})

test('SmoothQuant: A^alpha / w^(1-alpha), within 1e-4 and 1e4; a dead channel keeps 1', () => {
  expect([...smoothquantScales(0.5, [16, 1, 0, 3], [4, 0.25, 1, 0])]).toEqual([2, 2, 1, 1])
  expect([...smoothquantScales(1, [8, 1e9], [3, 1])]).toEqual([8, 10_000])
})

describe('the search on a matrix with outlier channels', () => {
  const ROWS = 64
  const COLS = 128
  let arena: KernelArena
  beforeAll(async () => {
    arena = await loadKernels()
  })

  test.each([
    [{ format: 'int4_awq', blockSize: 128, inputScale: undefined } as const],
    [{ format: 'w4a16_nvfp4', blockSize: 16, inputScale: undefined } as const],
  ])('%o: some candidate is better by a third than none', (format) => {
    const random = randomNumbers(3)
    const bits = Uint16Array.from({ length: ROWS * COLS }, () => bf16Bits(random() * 0.1))
    const buffer = new SharedArrayBuffer(bits.byteLength)
    new Uint16Array(buffer).set(bits)
    const source = { kind: 'memory', buffer, offsetBytes: 0, sizeBytes: bits.byteLength } as const
    const members = [{ sourceName: 'w', source, dtype: 'BF16', rows: ROWS, cols: COLS } as const]
    // Every 32nd channel carries inputs 60 times as large.
    const inputs = Float64Array.from({ length: COLS }, (_, column) => (column % 32 === 0 ? 60 : 1))
    const channels = measureWeights(arena, { kind: 'weight_channels', blockSize: format.blockSize, members })
    if (channels.kind !== 'weight_channels') throw new Error('another result')
    expect(channels.rowCount).toBe(ROWS)
    const column0 = Array.from({ length: ROWS }, (_, row) => Math.abs(numberOf(bits[row * COLS] ?? 0)))
    expect(channels.amax[0]).toBe(Math.max(...column0))
    const candidates = awqCandidates(
      0.1,
      inputs,
      channels.shares.map((share) => share / ROWS),
    )
    const scales = candidates.map((candidate) => candidate.scales)
    const result = measureWeights(arena, {
      kind: 'rounding_errors',
      format,
      members,
      candidates: scales,
      tensorAmaxes: scales.map((vector) =>
        Math.max(...[...channels.amax].map((a, at) => a * (vector[at] ?? 1))),
      ),
      inputSquares: inputs.map((input) => input * input),
    })
    if (result.kind !== 'rounding_errors') throw new Error('another result')
    const [plain = 0, ...others] = result.errors
    expect(plain / result.reference).toBeGreaterThan(1e-4)
    expect(Math.min(...others)).toBeLessThan(plain * 0.67)
  })
})

test('maxima of activations follow the vectors, those of other inputs stay', () => {
  const layer = 'm.layers.0'
  const experts = `${layer}.mlp.experts`
  const stats = {
    ...EMPTY_STATS,
    amax: new Map([
      [`${layer}.self_attn.q_proj.input_quantizer`, Float32Array.of(8)],
      [`${layer}.self_attn.o_proj.input_quantizer`, Float32Array.of(5)],
      [`${layer}.self_attn.k_bmm_quantizer`, Float32Array.of(3)],
      [`${experts}.down_proj_input_quantizer`, Float32Array.of(4, 9)],
    ]),
    channels: new Map([
      [
        `${layer}.self_attn.q_proj.input_quantizer`,
        { width: 2, amax: Float32Array.of(8, 3), meanAbs: Float32Array.of(1, 1) },
      ],
      [
        `${experts}.down_proj_input_quantizer`,
        { width: 2, amax: Float32Array.of(4, 1, 9, 2), meanAbs: new Float32Array(4) },
      ],
    ]),
  }
  const vectors = new Map([
    [`${layer}.input_layernorm`, Float32Array.of(4, 1)],
    [`${experts}.down_proj`, Float32Array.of(2, 0.25, 3, 1)],
  ])
  const smoothed = smoothedAmaxes(stats, vectors)
  expect([...smoothed].map(([, values]) => [...values])).toEqual([[3], [5], [3], [4, 3]])
})

/** Upper half, which is the value truncated: exact enough to make weights from. */
function bf16Bits(value: number): number {
  return new Uint16Array(Float32Array.of(value).buffer)[1] ?? 0
}

function numberOf(bits: number): number {
  return new Float32Array(Uint16Array.of(0, bits).buffer)[0] ?? 0
}
