/**
 * The arithmetic of quant/inputs/reference.ts as graph operators: same operations in the same order, so that the CPU gives the same bits.
 * E4M3 is a cast there and back, which rounds to nearest even and saturates; E2M1 is rounded on the grid of its binade.
 */
import type { GraphBuilder, Value } from '../../onnx/graph-builder.ts'
import { ONNX_TYPE } from '../../onnx/proto-writer.ts'
import type { InputArithmetic } from '../../quant/inputs/input-arithmetic.ts'

const E4M3_MAX = 448
const E2M1_MAX = 6
const INT8_MAX = 127
/** Casts to 8-bit floats exist from here on. */
const FLOAT8_OPSET = 19
/** Exponents of E8M0 scales. */
const MIN_EXPONENT = -127
const MAX_EXPONENT = 127

/** Rounds `x`, whose last axis the blocks divide. `scale` is f32 [] or one that broadcasts; read where the arithmetic has a stored one. */
export function roundInGraph(
  graph: GraphBuilder,
  arithmetic: InputArithmetic,
  x: Value,
  scale: Value | undefined,
): Value {
  const stored = (): Value => {
    if (scale === undefined) throw new Error(`${arithmetic.kind} needs a stored scale`)
    return scale
  }
  const one = graph.constant([1])
  switch (arithmetic.kind) {
    case 'fp8_tensor': {
      const scaled = graph.node('Mul', [x, graph.node('Div', [one, stored()])])
      return graph.node('Mul', [roundE4m3(graph, scaled), stored()])
    }
    case 'int8_tensor':
      return graph.node('Mul', [roundInt8(graph, graph.node('Div', [x, stored()])), stored()])
    case 'fp8_token':
      return scaledByLargest(graph, x, E4M3_MAX, roundE4m3)
    case 'int8_token':
      return scaledByLargest(graph, x, INT8_MAX, roundInt8)
    case 'fp8_group':
      return inBlocks(graph, x, arithmetic.blockSize, (blocks) =>
        scaledByLargest(graph, blocks, E4M3_MAX, roundE4m3),
      )
    case 'nvfp4':
      return inBlocks(graph, x, arithmetic.blockSize, (blocks) => roundNvfp4(graph, blocks, stored()))
    case 'mxfp8':
      return inBlocks(graph, x, arithmetic.blockSize, (blocks) =>
        withPowerOfTwo(graph, blocks, E4M3_MAX, roundE4m3),
      )
    case 'mxfp4':
      return inBlocks(graph, x, arithmetic.blockSize, (blocks) =>
        withPowerOfTwo(graph, blocks, E2M1_MAX, roundE2m1),
      )
  }
}

type Rounding = (graph: GraphBuilder, x: Value) => Value

function roundE4m3(graph: GraphBuilder, x: Value): Value {
  graph.needOpset(FLOAT8_OPSET)
  const narrow = graph.node('Cast', [x], { attributes: { to: ONNX_TYPE.float8 } })
  return graph.node('Cast', [narrow], { attributes: { to: ONNX_TYPE.float32 } })
}

/** Steps of 0.5 below 2, 1 below 4, 2 from there; to even, and 6 at most. A comparison with NaN is false, so a NaN passes. */
function roundE2m1(graph: GraphBuilder, x: Value): Value {
  const constant = (value: number): Value => graph.constant([value])
  const size = graph.node('Abs', [x])
  const isWide = graph.node('Greater', [size, constant(E2M1_MAX)])
  const limited = graph.node('Where', [isWide, constant(E2M1_MAX), size])
  const below = (limit: number): Value => graph.node('Less', [limited, constant(limit)])
  const fine = graph.node('Where', [below(2), constant(0.5), constant(1)])
  const step = graph.node('Where', [below(4), fine, constant(2)])
  const rounded = graph.node('Mul', [graph.node('Round', [graph.node('Div', [limited, step])]), step])
  const isNegative = graph.node('Less', [x, constant(0)])
  return graph.node('Where', [isNegative, graph.node('Neg', [rounded]), rounded])
}

function roundInt8(graph: GraphBuilder, x: Value): Value {
  const [least, most] = [graph.constant([-INT8_MAX - 1]), graph.constant([INT8_MAX])]
  const rounded = graph.node('Round', [x])
  const raised = graph.node('Where', [graph.node('Less', [rounded, least]), least, rounded])
  return graph.node('Where', [graph.node('Greater', [raised, most]), most, raised])
}

/** Scale = largest magnitude of the last axis / limit; where that is 0, so is the result. */
function scaledByLargest(graph: GraphBuilder, x: Value, limit: number, round: Rounding): Value {
  const reciprocal = graph.constant([Math.fround(1 / limit)])
  const scale = graph.node('Mul', [largest(graph, x), reciprocal])
  return withStep(graph, x, scale, round)
}

function roundNvfp4(graph: GraphBuilder, blocks: Value, scale: Value): Value {
  const perBlock = graph.node('Mul', [graph.constant([E2M1_MAX]), scale])
  const blockScale = roundE4m3(graph, graph.node('Div', [largest(graph, blocks), perBlock]))
  return withStep(graph, blocks, graph.node('Mul', [blockScale, scale]), roundE2m1)
}

/** round(x / step) · step; where the step is 0, x · 0. */
function withStep(graph: GraphBuilder, x: Value, step: Value, round: Rounding): Value {
  const isZero = graph.node('Equal', [step, graph.constant([0])])
  const divisor = graph.node('Where', [isZero, graph.constant([1]), step])
  return graph.node('Mul', [round(graph, graph.node('Div', [x, divisor])), step])
}

/** The smallest 2^e with 2^e · limit ≥ amax: the logarithm comes within one, comparisons settle it. */
function withPowerOfTwo(graph: GraphBuilder, blocks: Value, limit: number, round: Rounding): Value {
  const constant = (value: number): Value => graph.constant([value])
  const amax = largest(graph, blocks)
  const quotient = graph.node('Div', [amax, constant(limit)])
  const logarithm = graph.node('Div', [graph.node('Log', [quotient]), constant(Math.LN2)])
  const guess = graph.node('Ceil', [logarithm])
  const exponent = graph.node('Clip', [guess, constant(MIN_EXPONENT), constant(MAX_EXPONENT)])
  const power = graph.node('Pow', [constant(2), exponent])
  const isSmall = graph.node('And', [
    graph.node('Less', [graph.node('Mul', [power, constant(limit)]), amax]),
    graph.node('Less', [exponent, constant(MAX_EXPONENT)]),
  ])
  const raised = graph.node('Where', [isSmall, graph.node('Mul', [power, constant(2)]), power])
  const half = graph.node('Mul', [raised, constant(0.5)])
  const isLarge = graph.node('And', [
    graph.node('GreaterOrEqual', [graph.node('Mul', [half, constant(limit)]), amax]),
    graph.node('Greater', [raised, constant(2 ** MIN_EXPONENT)]),
  ])
  const step = graph.node('Where', [isLarge, half, raised])
  return graph.node('Mul', [round(graph, graph.node('Div', [blocks, step])), step])
}

/** Largest magnitude of the last axis, which stays with size 1. */
function largest(graph: GraphBuilder, x: Value): Value {
  return graph.node('ReduceMax', [graph.node('Abs', [x]), graph.shape([-1])], { attributes: { keepdims: 1 } })
}

/** [..., n · size] -> [rows, size] for `round`, and back. */
function inBlocks(graph: GraphBuilder, x: Value, size: number, round: (blocks: Value) => Value): Value {
  const blocks = graph.node('Reshape', [x, graph.shape([-1, size])])
  return graph.node('Reshape', [round(blocks), graph.node('Shape', [x])])
}
