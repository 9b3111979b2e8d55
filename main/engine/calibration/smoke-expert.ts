/**
 * One real expert on a few made-up tokens, against plain arithmetic: the cheapest proof that a device reads, multiplies and answers as it
 * should, before hours are spent on it. Drivers that return zeros or garbage without an error exist.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { QwenTextConfig } from '../models/qwen3_5-moe/text-config.ts'
import { f32Tensor, type GraphRuntime } from '../onnx/graph-runtime.ts'
import { expertsGraph } from './forward/experts.ts'
import { f32Output } from './graph-cache.ts'
import { WeightDecoder } from './weight-decoder.ts'
import type { WeightReader } from './weight-reader.ts'

export interface SmokeExpert {
  readonly config: QwenTextConfig
  /** [F, H], [F, H] and [H, F]. */
  readonly gate: TensorSlice
  readonly up: TensorSlice
  readonly down: TensorSlice
}

const ROWS = 4
/** Of the largest value. TF32 keeps 10 bits of a factor, an expert of the largest models adds 4096 products twice. */
const TOLERANCE = 0.02

/** Resolves to the largest difference, as a share of the largest value. Throws DEVICE_RESULT_WRONG, WEIGHT_NOT_FINITE and what reader and runtime throw. */
export async function smokeExpert(
  { config, gate, up, down }: SmokeExpert,
  runtime: GraphRuntime,
  reader: WeightReader,
): Promise<number> {
  const unit = { layerIndex: undefined, label: 'smoke test', slices: [gate, up, down] }
  const bytes = await reader.read(unit)
  const decoder = new WeightDecoder()
  const gateUp = decoder.decodeTogether([gate, up], bytes.slice(0, 2))
  const downValues = decoder.decode(down, bytes[2] ?? new Uint8Array(0))
  reader.release(unit)
  const { hiddenSize, expertWidth } = config
  const x = Float32Array.from({ length: ROWS * hiddenSize }, (_, index) => Math.sin(index + 1))
  const session = await runtime.load(expertsGraph(config, [], 1).build(), 'smoke test')
  try {
    const results = await session.run({
      'x.0': f32Tensor([ROWS, hiddenSize], x),
      'gate_up.0': f32Tensor([2 * expertWidth, hiddenSize], gateUp),
      'down.0': f32Tensor([hiddenSize, expertWidth], downValues),
    })
    const expected = expertOutput(config, x, gateUp, downValues)
    return compare(f32Output(results, 'y.0'), expected, `${runtime.device}, ${gate.name}`)
  } finally {
    await session.release()
  }
}

/** down · (silu(gate · x) ∘ (up · x)) for every row of x, f64. `gateUp` is [2F, H], gate rows first; `down` is [H, F]. */
export function expertOutput(
  { hiddenSize, expertWidth }: Pick<QwenTextConfig, 'hiddenSize' | 'expertWidth'>,
  x: Float32Array,
  gateUp: Float32Array,
  down: Float32Array,
): Float64Array {
  const rows = x.length / hiddenSize
  const result = new Float64Array(rows * hiddenSize)
  const activated = new Float64Array(expertWidth)
  for (let row = 0; row < rows; row += 1) {
    const input = x.subarray(row * hiddenSize, (row + 1) * hiddenSize)
    for (let unit = 0; unit < expertWidth; unit += 1) {
      const gate = dot(gateUp, unit * hiddenSize, input)
      const up = dot(gateUp, (expertWidth + unit) * hiddenSize, input)
      activated[unit] = (gate / (1 + Math.exp(-gate))) * up
    }
    for (let out = 0; out < hiddenSize; out += 1) {
      result[row * hiddenSize + out] = dot(down, out * expertWidth, activated)
    }
  }
  return result
}

function dot(matrix: Float32Array, from: number, vector: Float32Array | Float64Array): number {
  let sum = 0
  for (let index = 0; index < vector.length; index += 1)
    sum += (matrix[from + index] ?? 0) * (vector[index] ?? 0)
  return sum
}

function compare(found: Float32Array, expected: Float64Array, subject: string): number {
  let largest = Number.MIN_VALUE
  let difference = 0
  for (const [index, value] of expected.entries()) {
    largest = Math.max(largest, Math.abs(value))
    const distance = Math.abs((found[index] ?? Number.NaN) - value)
    difference = Number.isNaN(distance) ? Infinity : Math.max(difference, distance)
  }
  const share = difference / largest
  if (share <= TOLERANCE) return share
  throw new AppError('DEVICE_RESULT_WRONG', {
    subject,
    problem: `one expert computed there differs from plain arithmetic by ${(100 * share).toFixed(1)} % of its largest value`,
    remedy: 'update the driver, or use --device cpu',
  })
}
