/** Census of stored matrices: streams scales and codes once. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { addBlocks, addBytes, emptyCensus, type BlockCensus } from '../quant/block-census.ts'
import { blockSizeOf, weightLayout } from '../quant/layout.ts'
import type { ModuleFormat } from '../quant/formats.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'

const CHUNK_BYTES = 1024 * 1024

/** Of a matrix with one-byte block scales (NVFP4 family, MXFP4, MXFP8). */
export async function blockCensus(
  format: ModuleFormat,
  scale: TensorSlice,
  codes: TensorSlice,
  reader: WindowedReader,
): Promise<BlockCensus> {
  const kind = weightLayout(format.format) === 'mxfp8' ? 'e4m3' : 'e2m1'
  const blockBytes = blockSizeOf(format) / (kind === 'e4m3' ? 1 : 2)
  const step = Math.max(1, Math.floor(CHUNK_BYTES / blockBytes))
  const census = emptyCensus()
  for (let first = 0; first < scale.sizeBytes; first += step) {
    const count = Math.min(step, scale.sizeBytes - first)
    const scales = await reader.read(scale, first, count)
    const bytes = await reader.read(codes, first * blockBytes, count * blockBytes)
    addBlocks(census, scales, bytes, blockBytes, kind)
  }
  return census
}

/** Bytes of a code tensor by value. */
export async function codeCensus(codes: TensorSlice, reader: WindowedReader): Promise<Float64Array> {
  const counts = new Float64Array(256)
  for (let from = 0; from < codes.sizeBytes; from += CHUNK_BYTES) {
    addBytes(counts, await reader.read(codes, from, Math.min(CHUNK_BYTES, codes.sizeBytes - from)))
  }
  return counts
}
