/**
 * Searches for static NVFP4 block maxima that lower the squared error: the sweep over all E4M3 block scales, and four-over-six.
 * Exact arithmetic; the kernels of the reference divide approximately, so near-ties may differ ("statistically identical").
 * Source: MSE calibration with FP8 sweep (section 19.8 of the export) and the four-over-six candidates (9.7).
 */
import { bf16ToF32 } from '../../tensor/bf16.ts'
import { amaxBits } from '../../tensor/amax.ts'
import { E2M1_VALUES, e2m1TiesToEven } from '../../tensor/e2m1.ts'
import { decodeE4m3, E4M3_MAX, E4M3_VALUES, encodeE4m3 } from '../../tensor/e4m3.ts'
import { divF32, f32FromBits, mulF32 } from '../../tensor/float-bits.ts'
import type { Bf16Matrix } from '../matrix.ts'

/** f32[rows · cols / blockSize] plain block maxima, row-major. */
export function blockAmaxes(matrix: Bf16Matrix, blockSize: number): Float32Array<ArrayBuffer> {
  const amaxes = new Float32Array(matrix.bits.length / blockSize)
  for (let block = 0; block < amaxes.length; block++) {
    amaxes[block] = bf16ToF32(amaxBits(matrix.bits, block * blockSize, (block + 1) * blockSize))
  }
  return amaxes
}

/**
 * Block maxima tensorAmax · c with the c of {e4m3 / 448} (126 candidates, ascending) that minimises the block's squared error;
 * the first best wins, so a zero block gets the smallest. tensorAmax is the maximum of the tensor or fusion group.
 */
export function sweepBlockAmaxes(
  matrix: Bf16Matrix,
  blockSize: number,
  tensorAmax: number,
): Float32Array<ArrayBuffer> {
  const candidates = Float32Array.from(E4M3_VALUES.subarray(1, 127), (value) =>
    mulF32(value, Math.fround(1 / E4M3_MAX)),
  )
  const steps = candidates.map((candidate) => {
    const step = divF32(mulF32(candidate, tensorAmax), 6)
    return step === 0 ? 1 : step
  })
  const amaxes = new Float32Array(matrix.bits.length / blockSize)
  for (let block = 0; block < amaxes.length; block++) {
    let best = Infinity
    let chosen = 0
    steps.forEach((step, i) => {
      const error = squaredError(matrix, block * blockSize, blockSize, step)
      if (error >= best) return
      best = error
      chosen = i
    })
    amaxes[block] = mulF32(tensorAmax, candidates[chosen]!)
  }
  return amaxes
}

/**
 * Per block the maximum itself (it maps to code value 6) or 1.5 times it (it maps to 4), whichever has the smaller squared error
 * with the block scale rounded to E4M3 at m = 256; a tie keeps the maximum.
 */
export function fourOverSixBlockAmaxes(
  matrix: Bf16Matrix,
  blockSize: number,
  tensorAmax: number,
): Float32Array<ArrayBuffer> {
  const normaliser = divF32(E4M3_MAX, divF32(mulF32(tensorAmax, 448 / 256), 6))
  return blockAmaxes(matrix, blockSize).map((amax, block) => {
    const errorOf = (candidate: number): number => {
      const scaled = mulF32(divF32(candidate, 6), normaliser)
      const byte = encodeE4m3(Math.min(Math.max(scaled, -E4M3_MAX), E4M3_MAX), 'cuda')
      const step = mulF32(decodeE4m3(byte), divF32(1, normaliser))
      return squaredError(matrix, block * blockSize, blockSize, step)
    }
    const wide = mulF32(amax, 1.5)
    return errorOf(wide) < errorOf(amax) ? wide : amax
  })
}

/** Sum of (|w| - value(code) · step)² over a block. Terms are f32; the double sums of every fourth element are added as (0 + 2) + (1 + 3),
 *  the order of a four-lane kernel. Step 0 stores nothing but zeros. */
function squaredError(matrix: Bf16Matrix, begin: number, blockSize: number, step: number): number {
  const sums = [0, 0, 0, 0]
  for (let i = 0; i < blockSize; i++) {
    const magnitude = f32FromBits((matrix.bits[begin + i]! & 0x7fff) << 16)
    const stored = step === 0 ? 0 : mulF32(E2M1_VALUES[e2m1TiesToEven(divF32(magnitude, step))]!, step)
    const difference = Math.fround(magnitude - stored)
    sums[i % 4]! += mulF32(difference, difference)
  }
  return sums[0]! + sums[2]! + (sums[1]! + sums[3]!)
}
