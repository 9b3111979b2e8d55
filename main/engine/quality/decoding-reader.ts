/** Weights of an export as the forward pass wants them: every slice of a float model decoded from what is stored. */
import { elementCount } from '../../../shared/domain/dtype.ts'
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type { WeightReader, WeightUnit } from '../calibration/weight-reader.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { SoundMatrix } from '../verify/check-tensors.ts'
import { decodeChunks } from '../verify/decode-chunks.ts'
import { readFloats } from '../verify/read-floats.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'
import type { StoredPart } from './stored-part.ts'

const ITEM_BYTES = 4

/** A part of an export and how to read it. */
interface ReadablePart {
  readonly part: StoredPart
  readonly reader: WindowedReader
}

export class DecodingReader implements WeightReader {
  /** Searched in this order. */
  private parts: readonly ReadablePart[] = []
  private buffer = new Float32Array(0)

  /** What can be read from now on. */
  use(parts: readonly ReadablePart[]): void {
    this.parts = parts
  }

  /** f32 bytes of every slice. NaN scales and codes give NaN. Throws TENSOR_MISSING and what reading throws. */
  async read({ slices }: WeightUnit): Promise<readonly Uint8Array[]> {
    const counts = slices.map(({ shape }) => elementCount(shape))
    const total = counts.reduce((sum, count) => sum + count, 0)
    if (this.buffer.length < total) this.buffer = new Float32Array(total)
    const views: Uint8Array[] = []
    let position = 0
    for (const [index, slice] of slices.entries()) {
      const target = this.buffer.subarray(position, position + (counts[index] ?? 0))
      await this.fill(slice, target)
      views.push(new Uint8Array(target.buffer, target.byteOffset, target.byteLength))
      position += target.length
    }
    return views
  }

  release(): void {
    // The one buffer is reused by the next read.
  }

  private async fill({ name, offsetBytes }: TensorSlice, target: Float32Array): Promise<void> {
    const first = offsetBytes / ITEM_BYTES
    for (const { part, reader } of this.parts) {
      const plain = part.plain.get(name)
      if (plain !== undefined) {
        await copyPlain(plain, reader, first, target)
        return
      }
      const matrix = part.matrices.get(name.slice(0, -'.weight'.length))
      if (matrix !== undefined) {
        await copyDecoded(matrix, reader, first, target)
        return
      }
    }
    throw new AppError('TENSOR_MISSING', {
      subject: name,
      problem: 'the export does not have this tensor',
      remedy: 'get a complete copy of the export',
    })
  }
}

async function copyPlain(
  tensor: TensorSlice,
  reader: WindowedReader,
  first: number,
  target: Float32Array,
): Promise<void> {
  const itemBytes = tensor.sizeBytes / elementCount(tensor.shape)
  const values = readFloats(
    tensor.dtype,
    await reader.read(tensor, first * itemBytes, target.length * itemBytes),
  )
  invariant(values.length === target.length, `${tensor.name} is not a float tensor of this size`)
  target.set(values)
}

/** Elements first..first + target.length of the matrix; decodes only chunks that have some of them. */
async function copyDecoded(
  matrix: SoundMatrix,
  reader: WindowedReader,
  first: number,
  target: Float32Array,
): Promise<void> {
  const { cols } = matrix.matrix
  const end = first + target.length
  const rows = { first: Math.floor(first / cols), end: Math.ceil(end / cols) }
  for await (const { firstRow, values } of decodeChunks(matrix, reader, rows)) {
    const begin = firstRow * cols
    const from = Math.max(first, begin)
    const to = Math.min(end, begin + values.length)
    target.set(values.subarray(from - begin, to - begin), from - first)
  }
}
