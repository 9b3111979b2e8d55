/** The builder: what interceptors see and change, sharing of constants, and models that ONNX Runtime accepts. */
import { afterAll, describe, expect, test } from 'vitest'
import { AmaxObserver } from '../../../../../main/engine/calibration/forward/amax-observer.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { GraphBuilder, type GraphInterceptor } from '../../../../../main/engine/onnx/graph-builder.ts'
import { l2Norm, softplus } from '../../../../../main/engine/onnx/graph-ops.ts'
import { f32Tensor, type GraphTensor } from '../../../../../main/engine/onnx/graph-runtime.ts'
import { errorOf } from '../../../../tools/expect-error.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

async function run(
  graph: GraphBuilder,
  feeds: Record<string, GraphTensor>,
): Promise<Record<string, number[]>> {
  const session = await runtime.load(graph.build(), 'test')
  const results = await session.run(feeds)
  await session.release()
  return Object.fromEntries([...results].map(([name, { data }]) => [name, [...data]]))
}

const vector = (...values: number[]): GraphTensor => f32Tensor([1, values.length], Float32Array.from(values))
const matrix = (rows: number, cols: number, values: number[]): GraphTensor =>
  f32Tensor([rows, cols], Float32Array.from(values))

describe('linear', () => {
  const product = (interceptors: GraphInterceptor[]): GraphBuilder => {
    const graph = new GraphBuilder('linear', interceptors)
    const x = graph.input('x', ['rows', 2])
    graph.output('y', graph.linear(x, graph.input('w', [3, 2]), 'site'))
    return graph
  }
  const feeds = { x: matrix(2, 2, [1, 2, -3, 4]), w: matrix(3, 2, [1, 0, 0, 1, 1, 1]) }

  test('multiplies by the transposed weight', async () => {
    expect(await run(product([]), feeds)).toEqual({ y: [1, 2, 3, -3, 4, 1] })
  })

  test('interceptors replace operands in order and see what the one before made', async () => {
    const seen: string[] = []
    const doubling: GraphInterceptor = {
      onLinear: (graph, { input, weight, site }) => {
        seen.push(site)
        return { input: graph.node('Add', [input, input]), weight }
      },
    }
    expect(await run(product([doubling, doubling]), feeds)).toEqual({ y: [4, 8, 12, -12, 16, 4] })
    expect(seen).toEqual(['site', 'site'])
  })

  test('an observer behind a change sees the changed input, by row', async () => {
    const doubling: GraphInterceptor = {
      onLinear: (graph, { input, weight }) => ({ input: graph.node('Add', [input, input]), weight }),
    }
    const observer = new AmaxObserver()
    const { 'amax.0': amax } = await run(product([doubling, observer]), feeds)
    expect(amax).toEqual([4, 8])
    expect(observer.observations).toEqual([{ output: 'amax.0', sites: ['site'], slot: 0 }])
  })

  test('linears that read one tensor share an observation', () => {
    const observer = new AmaxObserver()
    const graph = new GraphBuilder('shared', [observer])
    const x = graph.input('x', ['rows', 2])
    for (const name of ['q', 'k']) graph.output(name, graph.linear(x, graph.input(`w.${name}`, [2, 2]), name))
    graph.tap(x, 'cache')
    expect(observer.observations).toEqual([{ output: 'amax.0', sites: ['q', 'k', 'cache'], slot: 0 }])
  })
})

test('two graphs share nothing: names start anew', () => {
  const make = (): Uint8Array => {
    const graph = new GraphBuilder('twin')
    graph.output('y', graph.node('Neg', [graph.input('x', [1])]))
    return graph.build()
  }
  expect(make()).toEqual(make())
})

test('a name used twice is our bug', async () => {
  const graph = new GraphBuilder('twice')
  graph.input('x', [1])
  const error = await errorOf(() => graph.input('x', [1]))
  expect(error.code).toBe('INVARIANT')
})

test('softplus neither overflows nor loses small values', async () => {
  const graph = new GraphBuilder('softplus')
  graph.output('y', softplus(graph, graph.input('x', [1, 5])))
  const { y } = await run(graph, { x: vector(-200, -10, 0, 10, 200) })
  expect(y[0]).toBe(0)
  expect(y[1]).toBeCloseTo(4.5398e-5, 7)
  expect(y[2]).toBeCloseTo(Math.LN2, 6)
  expect(y[3]).toBeCloseTo(10.0000454, 5)
  expect(y[4]).toBe(200)
})

test('the l2 norm of zeros is zeros: eps is inside the root', async () => {
  const graph = new GraphBuilder('l2')
  graph.output('y', l2Norm(graph, graph.input('x', [1, 2]), 1e-6))
  expect((await run(graph, { x: vector(0, 0) }))['y']).toEqual([0, 0])
  const { y } = await run(graph, { x: vector(3e-4, 4e-4) })
  // 3e-4 / sqrt(25e-8 + 1e-6)
  expect(y[0]).toBeCloseTo(0.26833, 5)
})
