/**
 * Deterministic pseudo-random weights at memory speed: large parts are copied in runs from one block of normal values, every run from
 * another place of the block and with a few outliers of its own. Same seed and key give the same bytes on every machine.
 */
import { f32ToBf16 } from '../tensor/bf16.ts'
import type { SampleFill, SamplePart } from './sample-tensors.ts'

/** Elements of the block of normal values; a power of two. */
const BLOCK_ELEMENTS = 1 << 20
/** Elements copied from one place; 64 KiB of BF16. */
const RUN_ELEMENTS = 1 << 15

/** sfc32: small, fast, passes the usual test batteries. Integers only, so equal everywhere. Source: PractRand. */
export class SampleRandom {
  private a = 0
  private b = 0
  private c = 0
  private counter = 1

  constructor(seed: number, key: string) {
    this.a = seed | 0
    this.b = Math.floor(seed / 2 ** 32) | 0
    this.c = hash(key)
    for (let round = 0; round < 15; round += 1) this.nextBits()
  }

  /** 32 random bits as u32. */
  nextBits(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0
    this.counter = (this.counter + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + sum) | 0
    return sum >>> 0
  }

  /** Uniform in (0, 1). */
  nextUniform(): number {
    return (this.nextBits() + 0.5) / 2 ** 32
  }

  /** Standard normal. */
  nextNormal(): number {
    const radius = Math.sqrt(-2 * Math.log(this.nextUniform()))
    return radius * Math.cos(2 * Math.PI * this.nextUniform())
  }
}

/** FNV-1a over UTF-16 units. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  return value
}

export class SampleValues {
  private readonly seed: number
  private readonly normals = new Float32Array(BLOCK_ELEMENTS)
  /** BF16 patterns of the block, scaled, by standard deviation. */
  private readonly blocks = new Map<number, Uint16Array<ArrayBuffer>>()

  /** `seed` is a safe non-negative integer. */
  constructor(seed: number) {
    this.seed = seed
    const random = new SampleRandom(seed, 'block')
    for (let index = 0; index < BLOCK_ELEMENTS; index += 1) this.normals[index] = random.nextNormal()
  }

  /** Values of a part as little-endian bytes, in pieces of at most 64 KiB that are only valid until the next one is asked for. */
  *pieces(part: SamplePart, dtype: 'BF16' | 'F32'): Generator<Uint8Array<ArrayBuffer>> {
    const random = new SampleRandom(this.seed, part.key)
    if (part.fill.kind !== 'normal' || dtype !== 'BF16') {
      yield* smallPieces(part.elementCount, part.fill, dtype, random)
      return
    }
    const block = this.block(part.fill.std)
    const run = new Uint16Array(RUN_ELEMENTS)
    for (let done = 0; done < part.elementCount; done += RUN_ELEMENTS) {
      const count = Math.min(RUN_ELEMENTS, part.elementCount - done)
      const start = random.nextBits() % (BLOCK_ELEMENTS - count + 1)
      run.set(block.subarray(start, start + count))
      // Trained matrices have rare large weights; they decide the scales.
      for (let outlier = 0; outlier < 2; outlier += 1) {
        const value = part.fill.std * (3 + 4 * random.nextUniform()) * (random.nextBits() & 1 ? 1 : -1)
        run[random.nextBits() % count] = f32ToBf16(value)
      }
      yield new Uint8Array(run.buffer, 0, count * 2)
    }
  }

  private block(std: number): Uint16Array<ArrayBuffer> {
    const present = this.blocks.get(std)
    if (present !== undefined) return present
    const block = new Uint16Array(BLOCK_ELEMENTS)
    for (const [index, normal] of this.normals.entries()) block[index] = f32ToBf16(normal * std)
    this.blocks.set(std, block)
    return block
  }
}

function* smallPieces(
  elementCount: number,
  fill: SampleFill,
  dtype: 'BF16' | 'F32',
  random: SampleRandom,
): Generator<Uint8Array<ArrayBuffer>> {
  for (let done = 0; done < elementCount; done += RUN_ELEMENTS / 2) {
    const values = Float32Array.from({ length: Math.min(RUN_ELEMENTS / 2, elementCount - done) }, () => {
      return draw(fill, random)
    })
    if (dtype === 'F32') yield new Uint8Array(values.buffer)
    else yield new Uint8Array(Uint16Array.from(values, f32ToBf16).buffer)
  }
}

function draw(fill: SampleFill, random: SampleRandom): number {
  switch (fill.kind) {
    case 'normal':
      return fill.std * random.nextNormal()
    case 'around':
      return fill.mean + fill.std * random.nextNormal()
    case 'log_uniform':
      return Math.log(fill.low + (fill.high - fill.low) * random.nextUniform())
  }
}
