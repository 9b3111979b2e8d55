/**
 * What a kernel computes with instead of the inputs it is given: rounded to the format and scaled back, value by value in f32. The readable
 * definition; the graphs of calibration/fake-quant must give the same bits. Sources: ModelOpt's fake quantizers and the quantization
 * kernels of vLLM, which agree but for the rounding of intermediate products.
 */
import { E2M1_VALUES, e2m1TiesToEven } from '../../tensor/e2m1.ts'
import { decodeE4m3, E4M3_MAX, e4m3FromBits } from '../../tensor/e4m3.ts'
import { divF32, f32Bits, mulF32, roundHalfEven } from '../../tensor/float-bits.ts'
import type { InputArithmetic } from './input-arithmetic.ts'

const E2M1_MAX = 6
const INT8_MAX = 127
/** Exponents of E8M0 scales. */
const MIN_EXPONENT = -127
const MAX_EXPONENT = 127

/**
 * `x` f32 [rows, cols]; `scale` is the stored scale (read by formats that have one). A NaN stays NaN; values beyond the range saturate.
 * Blocks must divide `cols`. A row or block of zeros stays zero.
 */
export function roundInputs(
  arithmetic: InputArithmetic,
  x: Float32Array,
  cols: number,
  scale: number,
): Float32Array<ArrayBuffer> {
  switch (arithmetic.kind) {
    case 'fp8_tensor':
      return x.map((value) => mulF32(roundE4m3(mulF32(value, divF32(1, scale))), scale))
    case 'int8_tensor':
      return x.map((value) => mulF32(roundInt8(divF32(value, scale)), scale))
    case 'fp8_token':
      return byBlock(x, cols, (block) => {
        const own = mulF32(largest(block), Math.fround(1 / E4M3_MAX))
        return block.map((value) => (own === 0 ? zero(value) : mulF32(roundE4m3(divF32(value, own)), own)))
      })
    case 'int8_token':
      return byBlock(x, cols, (block) => {
        const own = mulF32(largest(block), Math.fround(1 / INT8_MAX))
        return block.map((value) => (own === 0 ? zero(value) : mulF32(roundInt8(divF32(value, own)), own)))
      })
    case 'fp8_group':
      return byBlock(x, arithmetic.blockSize, (block) =>
        roundInputs({ kind: 'fp8_token' }, block, block.length, scale),
      )
    case 'nvfp4':
      return byBlock(x, arithmetic.blockSize, (block) => roundNvfp4Block(block, scale))
    case 'mxfp8':
      return byBlock(x, arithmetic.blockSize, (block) => {
        const step = powerOfTwoScale(largest(block), E4M3_MAX)
        return block.map((value) => mulF32(roundE4m3(divF32(value, step)), step))
      })
    case 'mxfp4':
      return byBlock(x, arithmetic.blockSize, (block) => {
        const step = powerOfTwoScale(largest(block), E2M1_MAX)
        return block.map((value) => mulF32(roundE2m1(divF32(value, step)), step))
      })
  }
}

/** Block scale E4M3(amax / (6 · scale)), saturating; step = block scale · scale; values to E2M1. A step of 0 makes the block zero. */
function roundNvfp4Block(block: Float32Array, scale: number): Float32Array {
  const blockScale = roundE4m3(divF32(largest(block), mulF32(E2M1_MAX, scale)))
  const step = mulF32(blockScale, scale)
  return block.map((value) => (step === 0 ? zero(value) : mulF32(roundE2m1(divF32(value, step)), step)))
}

/** The smallest 2^e with 2^e · limit ≥ amax, e from -127 to 127: the rule by which the weights are stored. */
function powerOfTwoScale(amax: number, limit: number): number {
  let exponent = MIN_EXPONENT
  while (exponent < MAX_EXPONENT && 2 ** exponent * limit < amax) exponent += 1
  return 2 ** exponent
}

function roundE4m3(value: number): number {
  return Number.isNaN(value) ? Number.NaN : decodeE4m3(e4m3FromBits(f32Bits(value), true))
}

function roundE2m1(value: number): number {
  return Number.isNaN(value) ? Number.NaN : E2M1_VALUES[e2m1TiesToEven(value)]!
}

function roundInt8(value: number): number {
  return Math.min(Math.max(roundHalfEven(value), -INT8_MAX - 1), INT8_MAX)
}

/** 0, or NaN for NaN. */
function zero(value: number): number {
  return value * 0
}

/** Largest magnitude; NaN is passed over. */
function largest(block: Float32Array): number {
  return block.reduce((most, value) => (Math.abs(value) > most ? Math.abs(value) : most), 0)
}

function byBlock(
  x: Float32Array,
  size: number,
  round: (block: Float32Array) => Float32Array,
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(x.length)
  for (let begin = 0; begin < x.length; begin += size) {
    result.set(round(x.subarray(begin, begin + size)), begin)
  }
  return result
}
