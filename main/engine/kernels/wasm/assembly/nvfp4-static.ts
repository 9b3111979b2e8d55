// Block scales of static NVFP4: from the plain block maxima, from the sweep over all E4M3 block scales, or four-over-six.
// Same arithmetic and the same order of summation as the reference search, so the same bytes.
import { amaxBf16 } from './amax'
import { encodeE4m3 } from './fp8'

const CANDIDATES: i32 = 126
const magnitudes: usize = memory.data(1024) // |w| of one block as f32, up to 16 groups
const steps: usize = memory.data(504) // f32 per candidate: code value 1 in units of the weight
const amaxes: usize = memory.data(504) // f32 per candidate: the block maximum it stands for

/** Below this maximum, candidate steps underflow and are no longer ascending; every candidate is tried then. */
const SMALLEST_ORDERED: f32 = 7.888609052210118e-31 // 2^-100

/** Writes one E4M3 byte per block of BF16[blockCount · groupsPerBlock · 16]. search: 0 none, 1 sweep, 2 four-over-six.
 * The search measures against `searchAmax`, the scales are stored relative to `tensorAmax`; the two differ in one ModelOpt quirk only. */
export function chooseStaticScales(
  source: usize,
  blockCount: usize,
  groupsPerBlock: usize,
  tensorAmax: f32,
  searchAmax: f32,
  search: i32,
  weightScale: usize,
): void {
  const blockSize = groupsPerBlock << 4
  const largestScale: f32 = search === 2 ? 256 : 448
  const sixth: f32 = <f32>1 / <f32>6
  const largestStep = tensorAmax * sixth
  if (search === 1) prepareCandidates(searchAmax)
  for (let block: usize = 0; block < blockCount; block++) {
    const from = source + block * (blockSize << 1)
    let amax = reinterpret<f32>(amaxBf16(from, blockSize) << 16)
    if (search !== 0) {
      unpackMagnitudes(from, blockSize)
      amax = search === 1 ? sweep(amax, blockSize, searchAmax) : fourOverSix(amax, blockSize, searchAmax)
    }
    const step = amax * sixth
    const scale = ((step === 0 ? <f32>1 : step) * largestScale) / largestStep
    store<u8>(weightScale + block, <u8>encodeE4m3(min<f32>(max<f32>(scale, 0.001953125), 448)))
  }
}

// @ts-ignore: decorator
@inline
function decodeE4m3(code: u32): f32 {
  return code < 8 ? <f32>code * <f32>0.001953125 : reinterpret<f32>((code + 960) << 20)
}

function prepareCandidates(tensorAmax: f32): void {
  for (let i = 0; i < CANDIDATES; i++) {
    const candidate = decodeE4m3(<u32>(i + 1)) * (<f32>1 / <f32>448)
    const amax = tensorAmax * candidate
    const step = amax / <f32>6
    store<f32>(amaxes + ((<usize>i) << 2), amax)
    store<f32>(steps + ((<usize>i) << 2), step === 0 ? 1 : step)
  }
}

function unpackMagnitudes(from: usize, blockSize: usize): void {
  const zero = i16x8.splat(0)
  for (let i: usize = 0; i < blockSize; i += 8) {
    const v = v128.and(v128.load(from + (i << 1)), i16x8.splat(0x7fff))
    v128.store(magnitudes + (i << 2), v128.shuffle<i16>(zero, v, 0, 8, 1, 9, 2, 10, 3, 11))
    v128.store(magnitudes + (i << 2), v128.shuffle<i16>(zero, v, 4, 12, 5, 13, 6, 14, 7, 15), 16)
  }
}

// @ts-ignore: decorator
@inline
function stepAt(i: i32): f32 {
  return load<f32>(steps + ((<usize>i) << 2))
}

/** Maximum that minimises the squared error; of equal ones the smallest. */
function sweep(amax: f32, blockSize: usize, tensorAmax: f32): f32 {
  let chosen = 0
  if (tensorAmax < SMALLEST_ORDERED) {
    let best = squaredError(stepAt(0), blockSize)
    for (let i = 1; i < CANDIDATES; i++) {
      const error = squaredError(stepAt(i), blockSize)
      if (error < best) {
        best = error
        chosen = i
      }
    }
    return load<f32>(amaxes + ((<usize>chosen) << 2))
  }
  // Start where the maximum just fits and walk both ways.
  let first = 0
  let count = CANDIDATES - 1
  while (count > 0) {
    const half = count >> 1
    if (stepAt(first + half) * 6 < amax) {
      first += half + 1
      count -= half + 1
    } else count = half
  }
  let best = squaredError(stepAt(first), blockSize)
  chosen = first
  for (let i = first - 1; i >= 0; i--) {
    // The saturated maximum alone costs this much, and more with every smaller step.
    const excess = amax - <f32>6 * stepAt(i)
    if (excess > 0 && <f64>(excess * excess) > best) break
    const error = squaredError(stepAt(i), blockSize)
    if (error <= best) {
      best = error
      chosen = i
    }
  }
  for (let i = first + 1; i < CANDIDATES; i++) {
    // Once everything rounds to zero the error no longer changes.
    if (amax / stepAt(i - 1) <= 0.25) break
    const error = squaredError(stepAt(i), blockSize)
    if (error < best) {
      best = error
      chosen = i
    }
  }
  return load<f32>(amaxes + ((<usize>chosen) << 2))
}

function fourOverSix(amax: f32, blockSize: usize, tensorAmax: f32): f32 {
  const normaliser: f32 = <f32>448 / ((tensorAmax * <f32>1.75) / <f32>6)
  const wide = amax * <f32>1.5
  return fourOverSixError(wide, normaliser, blockSize) < fourOverSixError(amax, normaliser, blockSize)
    ? wide
    : amax
}

function fourOverSixError(amax: f32, normaliser: f32, blockSize: usize): f64 {
  const scaled = min<f32>((amax / <f32>6) * normaliser, 448)
  const step = decodeE4m3(encodeE4m3(scaled)) * (<f32>1 / normaliser)
  return squaredError(step, blockSize)
}

/** Sum of (|w| - value · step)²: f32 terms, f64 sums of every fourth element, (0 + 2) + (1 + 3). Step 0 stores zeros. */
function squaredError(step: f32, blockSize: usize): f64 {
  const divisor = f32x4.splat(step === 0 ? reinterpret<f32>(<u32>0x7f800000) : step)
  const factor = f32x4.splat(step)
  const one = f32x4.splat(1)
  const six = f32x4.splat(6)
  const exponent = i32x4.splat(0x7f800000)
  const magic = f32x4.splat(6291456) // 1.5 · 2^22: adding it rounds to multiples of 0.5
  let low = f64x2.splat(0)
  let high = f64x2.splat(0)
  for (let i: usize = 0; i < blockSize; i += 4) {
    const w = v128.load(magnitudes + (i << 2))
    const x = f32x4.div(w, divisor)
    // The grid is 0.5 below 2 and doubles with the binade: the magic number is scaled by 1, 2 or 4.
    const round = f32x4.mul(v128.and(f32x4.pmax(one, x), exponent), magic)
    const value = f32x4.pmin(six, f32x4.sub(f32x4.add(x, round), round))
    const difference = f32x4.sub(w, f32x4.mul(value, factor))
    const term = f32x4.mul(difference, difference)
    low = f64x2.add(low, f64x2.promote_low_f32x4(term))
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<i32>(term, term, 2, 3, 0, 1)))
  }
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1)
}
