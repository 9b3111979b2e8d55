/** Dequantized weights against the source: every value within the bound of its format. Streams in chunks of rows. */
import type { FormatError } from '../../../shared/domain/verify-report.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { SourceContext } from './check-copies.ts'
import { isSameShape } from './check-parts.ts'
import type { SoundMatrix } from './check-tensors.ts'
import { compareChunk, type ErrorSums } from './compare-values.ts'
import { decodeChunks, type DecodedChunk } from './decode-chunks.ts'
import { errorBound, type ErrorBound } from './error-bound.ts'
import { isFloat, roundedToBf16 } from './read-floats.ts'
import { formatKey } from './stored-format.ts'
import { WindowedReader } from './windowed-reader.ts'

interface FormatSums extends ErrorSums {
  readonly format: string
  readonly bound: ErrorBound
  matrixCount: number
}

/**
 * Compares every matrix whose tensors and scales broke no rule. Returns sums by format and the number of matrices compared.
 * Throws READ_FAILED, SAFETENSORS_TRUNCATED.
 */
export async function checkErrors(
  quantized: readonly SoundMatrix[],
  context: SourceContext,
): Promise<{ readonly errors: readonly FormatError[]; readonly matrixCount: number }> {
  const byFormat = new Map<string, FormatSums>()
  const sourceReader = new WindowedReader(context.source.checkpoint)
  for (const sound of quantized) {
    if (context.isCancelled()) break
    const { module } = sound.matrix
    const original = context.source.matrixOf(module)
    if (context.broken.has(module) || original === undefined || sound.stored.hasZeroPoint) continue
    await compareMatrix(sound, original, sourceReader, sumsOf(sound, byFormat), context)
  }
  const list = [...byFormat.values()]
  return {
    matrixCount: list.reduce((total, { matrixCount }) => total + matrixCount, 0),
    errors: list.map(({ format, bound, matrixCount, squaredError, squaredWeights, largestShare }) => ({
      format,
      matrixCount,
      relativeError: squaredWeights === 0 ? 0 : Math.sqrt(squaredError / squaredWeights),
      largestShareOfBound: largestShare,
      bound: bound.text,
    })),
  }
}

function sumsOf({ stored }: SoundMatrix, byFormat: Map<string, FormatSums>): FormatSums {
  const known = byFormat.get(formatKey(stored))
  if (known !== undefined) return known
  const sums = {
    format: stored.name,
    bound: errorBound(stored),
    matrixCount: 0,
    squaredError: 0,
    squaredWeights: 0,
    largestShare: 0,
  }
  byFormat.set(formatKey(stored), sums)
  return sums
}

async function compareMatrix(
  sound: SoundMatrix,
  original: TensorSlice,
  sourceReader: WindowedReader,
  sums: FormatSums,
  { reader, findings, onMatrixError }: SourceContext,
): Promise<void> {
  const { module, rows, cols } = sound.matrix
  const { dtype } = original
  if (!isSameShape(original.shape, [rows, cols]) || !isFloat(dtype)) return
  const rowBytes = original.sizeBytes / rows
  const { squaredError, squaredWeights } = sums
  let count = 0
  let first = ''
  for await (const chunk of decodeChunks(sound, reader)) {
    const bytes = await sourceReader.read(original, chunk.firstRow * rowBytes, chunk.rowCount * rowBytes)
    const weights = roundedToBf16(dtype, bytes)
    const violations = compareChunk(sums.bound, weights, chunk, sums)
    if (count === 0 && violations.count > 0) first = describe(violations.first, weights, chunk, cols)
    count += violations.count
  }
  sums.matrixCount += 1
  const weights = sums.squaredWeights - squaredWeights
  onMatrixError?.(module, weights > 0 ? Math.sqrt((sums.squaredError - squaredError) / weights) : 0)
  if (count === 0) return
  findings.add(
    'source.error',
    module,
    `${first}; ${String(count)} place(s) beyond the bound of ${sums.format} (${sums.bound.text})`,
  )
}

function describe(
  index: number,
  weights: Float32Array,
  { values, firstRow }: DecodedChunk,
  cols: number,
): string {
  const place = `[${String(firstRow + Math.floor(index / cols))}, ${String(index % cols)}]`
  return `at ${place} the source is ${String(weights[index])}, the export ${String(values[index])}`
}
