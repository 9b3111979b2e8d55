/** Whether quantized matrices can be divided among tensor-parallel ranks without cutting a block. Pure arithmetic on shapes. */
import type { TensorParallelResult } from '../../../shared/domain/verify-report.ts'
import { TILE_SIZE, weightLayout } from '../quant/layout.ts'
import type { CheckedTensors } from './check-tensors.ts'
import type { ExpectedMatrix } from './expected-model.ts'
import type { StoredFormat } from './stored-format.ts'

export const TENSOR_PARALLEL_SIZES = [1, 2, 4, 8] as const

/** One result per size. A unit of experts counts once, because all of its experts have the same shapes. */
export function tensorParallel({
  quantizedUnits,
}: Pick<CheckedTensors, 'quantizedUnits'>): readonly TensorParallelResult[] {
  return TENSOR_PARALLEL_SIZES.map((size) => {
    const problems = quantizedUnits.flatMap(({ unit, stored }) => {
      const matrices = unit.kind === 'experts' ? unit.matrices.slice(0, 3) : unit.matrices
      const problem = matrices
        .map((matrix) => obstacle(matrix, stored, size))
        .find((text) => text !== undefined)
      return problem === undefined ? [] : [`${unit.name}: ${problem}`]
    })
    return {
      size,
      isDivisible: problems.length === 0,
      problemCount: problems.length,
      problem: problems[0],
    }
  })
}

/** Why a matrix cannot be divided among `size` ranks; undefined when it can. */
export function obstacle(
  { rows, cols, parallel }: Pick<ExpectedMatrix, 'rows' | 'cols' | 'parallel'>,
  stored: Pick<StoredFormat, 'format' | 'packedBits'>,
  size: number,
): string | undefined {
  if (parallel === 'none' || size === 1) return undefined
  const isColumn = parallel === 'column'
  const length = isColumn ? rows : cols
  const axis = isColumn ? 'output rows' : 'input columns'
  if (length % size !== 0) return `${String(length)} ${axis} among ${String(size)} ranks`
  const share = length / size
  const unit = isColumn ? rowUnit(stored) : columnUnit(stored)
  return share % unit === 0
    ? undefined
    : `${String(share)} ${axis} per rank are not a multiple of ${String(unit)}`
}

type Stored = Pick<StoredFormat, 'format' | 'packedBits'>

/** Output rows that cannot be separated. */
function rowUnit({ format, packedBits }: Stored): number {
  if (packedBits !== undefined) return 1
  const layout = weightLayout(format.format)
  return layout === 'fp8_tile' ? TILE_SIZE : layout === 'int4' ? 2 : 1
}

/** Input columns that cannot be separated: a block, a tile, a packed word. */
function columnUnit({ format, packedBits }: Stored): number {
  if (format.blockSize !== undefined) return format.blockSize
  if (packedBits !== undefined) return Math.floor(32 / packedBits)
  return weightLayout(format.format) === 'fp8_tile' ? TILE_SIZE : 1
}
