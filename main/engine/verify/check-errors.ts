/** Dequantized weights against the source, matrix by matrix, and what that says of each format. */
import type { FormatError } from '../../../shared/domain/verify-report.ts'
import { NO_VECTORS, type SourceContext } from './check-copies.ts'
import { isSameShape } from './check-parts.ts'
import type { SoundMatrix } from './check-tensors.ts'
import type { MatrixComparer, MatrixComparison, MatrixTask } from './compare-matrix.ts'
import { errorBound, type ErrorBound } from './error-bound.ts'
import { isFloat } from './read-floats.ts'
import { formatKey } from './stored-format.ts'

interface FormatSums {
  readonly format: string
  readonly bound: ErrorBound
  matrixCount: number
  squaredError: number
  squaredWeights: number
  largestShare: number
}

/**
 * Compares every matrix whose tensors and scales broke no rule. Returns sums by format and the number of matrices compared. Sums are made in the
 * order of the model from those of each matrix, so that they do not depend on how many are compared at once.
 * Throws what the comparer throws.
 */
export async function checkErrors(
  quantized: readonly SoundMatrix[],
  context: SourceContext,
  comparer: MatrixComparer,
): Promise<{ readonly errors: readonly FormatError[]; readonly matrixCount: number }> {
  const byFormat = new Map<string, FormatSums>()
  const started: { readonly task: MatrixTask; readonly result: Promise<MatrixComparison> }[] = []
  const takeFirst = async (): Promise<void> => {
    const first = started.shift()
    if (first !== undefined) take(first.task, await first.result, byFormat, context)
  }
  try {
    for (const sound of quantized) {
      if (context.isCancelled()) break
      const task = taskOf(sound, context)
      if (task === undefined) continue
      const result = comparer.compare(task)
      result.catch(() => undefined) // told where it is awaited; others may be before it
      started.push({ task, result })
      if (started.length >= comparer.parallelCount) await takeFirst()
    }
    while (started.length > 0) await takeFirst()
  } finally {
    await Promise.allSettled(started.map(({ result }) => result))
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

/** undefined for what cannot be compared: another rule has said why. */
function taskOf(sound: SoundMatrix, { broken, source, findings }: SourceContext): MatrixTask | undefined {
  const { matrix, stored, parts } = sound
  const original = source.matrixOf(matrix.module)
  if (broken.has(matrix.module) || original === undefined || stored.hasZeroPoint) return undefined
  if (!isSameShape(original.shape, [matrix.rows, matrix.cols]) || !isFloat(original.dtype)) return undefined
  const fold = source.foldOf(matrix.module, original)
  if (fold === 'missing') {
    findings.add('source.error', matrix.module, NO_VECTORS)
    return undefined
  }
  return { stored: { matrix, stored, parts }, original, fold }
}

function take(
  { stored: { matrix, stored } }: MatrixTask,
  { squaredError, squaredWeights, largestShare, violationCount, firstViolation }: MatrixComparison,
  byFormat: Map<string, FormatSums>,
  { findings, onMatrixError }: SourceContext,
): void {
  const key = formatKey(stored)
  const sums = byFormat.get(key) ?? newSums(stored)
  byFormat.set(key, sums)
  sums.matrixCount += 1
  sums.squaredError += squaredError
  sums.squaredWeights += squaredWeights
  sums.largestShare = Math.max(sums.largestShare, largestShare)
  onMatrixError?.(matrix.module, squaredWeights > 0 ? Math.sqrt(squaredError / squaredWeights) : 0)
  if (violationCount === 0) return
  findings.add(
    'source.error',
    matrix.module,
    `${firstViolation}; ${String(violationCount)} place(s) beyond the bound of ${sums.format} (${sums.bound.text})`,
  )
}

function newSums(stored: SoundMatrix['stored']): FormatSums {
  return {
    format: stored.name,
    bound: errorBound(stored),
    matrixCount: 0,
    squaredError: 0,
    squaredWeights: 0,
    largestShare: 0,
  }
}
