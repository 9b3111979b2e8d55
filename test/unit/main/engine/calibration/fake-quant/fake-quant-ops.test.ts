/** The graphs of rounding against the readable reference, bit by bit, through ONNX Runtime on the CPU. */
import { afterAll, describe, expect, test } from 'vitest'
import { FakeQuantizer } from '../../../../../../main/engine/calibration/fake-quant/fake-quantizer.ts'
import { roundInGraph } from '../../../../../../main/engine/calibration/fake-quant/fake-quant-ops.ts'
import { OrtRuntime } from '../../../../../../main/engine/device/ort-runtime.ts'
import { GraphBuilder } from '../../../../../../main/engine/onnx/graph-builder.ts'
import { f32Tensor, type GraphTensor } from '../../../../../../main/engine/onnx/graph-runtime.ts'
import {
  usesStoredScale,
  type InputArithmetic,
} from '../../../../../../main/engine/quant/inputs/input-arithmetic.ts'
import { roundInputs } from '../../../../../../main/engine/quant/inputs/reference.ts'
import { f32FromBits } from '../../../../../../main/engine/tensor/float-bits.ts'
import { fc, runs } from '../../../../../tools/properties.ts'

const COLS = 64
const ARITHMETICS: readonly InputArithmetic[] = [
  { kind: 'fp8_tensor' },
  { kind: 'int8_tensor' },
  { kind: 'fp8_token' },
  { kind: 'int8_token' },
  { kind: 'fp8_group', blockSize: 32 },
  { kind: 'nvfp4', blockSize: 16 },
  { kind: 'mxfp8', blockSize: 32 },
  { kind: 'mxfp4', blockSize: 32 },
]
const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

async function loaded(
  arithmetic: InputArithmetic,
): Promise<(x: Float32Array<ArrayBuffer>, scale: number) => Promise<Float32Array>> {
  const graph = new GraphBuilder('rounding')
  const x = graph.input('x', ['rows', COLS])
  const hasScale = usesStoredScale(arithmetic)
  graph.output('y', roundInGraph(graph, arithmetic, x, hasScale ? graph.input('scale', []) : undefined))
  const session = await runtime.load(graph.build(), arithmetic.kind)
  return async (values, scale) => {
    const feeds: Record<string, GraphTensor> = { x: f32Tensor([values.length / COLS, COLS], values) }
    if (hasScale) feeds['scale'] = f32Tensor([], Float32Array.of(scale))
    const y = (await session.run(feeds)).get('y')
    if (y?.dtype !== 'float32') throw new Error('no output')
    return y.data
  }
}

/** Index of the first difference; zeros of either sign are equal, and so are NaN. */
function firstDifference(a: Float32Array, b: Float32Array): string | undefined {
  const index = a.findIndex((value, i) => value !== b[i] && !(Number.isNaN(value) && Number.isNaN(b[i])))
  return index < 0 ? undefined : `${String(index)}: ${String(a[index])} and ${String(b[index])}`
}

/** Any finite f32, subnormals included, within ±2^100 so that nothing overflows on the way. */
const anyValue = fc.integer({ min: 0, max: 0xffffffff }).map((bits) => {
  const value = f32FromBits(bits)
  return Math.abs(value) < 2 ** 100 ? value : Math.fround(bits / 2 ** 30 - 2)
})
const usual = fc.float({ min: -8, max: 8, noNaN: true })
const scales = fc.constantFrom(0.001, 0.0123, 0.5, 1, 3.75, 2 ** -20).map(Math.fround)

describe.each(ARITHMETICS)('$kind', (arithmetic) => {
  test('the graph gives the bits of the reference', async () => {
    const run = await loaded(arithmetic)
    const rows = fc.array(fc.oneof(usual, anyValue), { minLength: 2 * COLS, maxLength: 2 * COLS })
    await fc.assert(
      fc.asyncProperty(rows, scales, async (values, scale) => {
        const x = Float32Array.from(values)
        const y = await run(x, scale)
        expect(firstDifference(y, roundInputs(arithmetic, x, COLS, scale))).toBeUndefined()
      }),
      runs(60),
    )
  })

  test('zeros, subnormals and a NaN', async () => {
    const run = await loaded(arithmetic)
    const x = new Float32Array(3 * COLS)
    x.set([2 ** -149, -(2 ** -127), 0, -0], COLS)
    const y = await run(x, 0.25)
    expect(firstDifference(y, roundInputs(arithmetic, x, COLS, 0.25))).toBeUndefined()
    x[2 * COLS] = Number.NaN
    expect((await run(x, 0.25))[2 * COLS]).toBeNaN()
  })
})

describe('attached to a graph', () => {
  test('a reciprocal scale would give another product: x = 8.5 rounds to 8 with scale 0.5', async () => {
    const quantizer = new FakeQuantizer((site) =>
      site === 'here'
        ? { arithmetic: { kind: 'fp8_tensor' }, scaleName: 'here', hasPreScale: false }
        : undefined,
    )
    const graph = new GraphBuilder('two linears', [quantizer])
    const x = graph.input('x', ['rows', 1])
    const weight = graph.input('w', [1, 1])
    graph.output('here', graph.linear(x, weight, 'here'))
    graph.output('elsewhere', graph.linear(x, weight, 'elsewhere'))
    const session = await runtime.load(graph.build(), 'two linears')
    const results = await session.run({
      x: f32Tensor([1, 1], Float32Array.of(8.5)),
      w: f32Tensor([1, 1], Float32Array.of(3)),
      'here.scale.0': f32Tensor([], Float32Array.of(0.5)),
    })
    expect(results.get('here')?.data).toEqual(Float32Array.of(24))
    expect(results.get('elsewhere')?.data).toEqual(Float32Array.of(25.5))
  })

  test('linears that share input and scale share the rounding; a vector comes before it', async () => {
    const quantizer = new FakeQuantizer(() => ({
      arithmetic: { kind: 'fp8_tensor' },
      scaleName: 'both',
      hasPreScale: true,
    }))
    const graph = new GraphBuilder('shared', [quantizer])
    const x = graph.input('x', ['rows', 2])
    const weight = graph.input('w', [1, 2])
    graph.output('a', graph.linear(x, weight, 'a'))
    graph.output('b', graph.linear(x, weight, 'b'))
    expect(quantizer.addedInputs.map(({ name }) => name)).toEqual(['both.pre_scale.0', 'both.scale.0'])
    const session = await runtime.load(graph.build(), 'shared')
    const results = await session.run({
      x: f32Tensor([1, 2], Float32Array.of(17, 1)),
      w: f32Tensor([1, 2], Float32Array.of(1, 1)),
      'both.scale.0': f32Tensor([], Float32Array.of(1)),
      'both.pre_scale.0': f32Tensor([2], Float32Array.of(2, 0.5)),
    })
    // 34 lies between 32 and 36 and goes to 32 as code, 0.5 stays.
    expect(results.get('a')?.data).toEqual(Float32Array.of(32.5))
    expect(results.get('b')?.data).toEqual(Float32Array.of(32.5))
  })
})
