/** Checks of single tensors: dtype and shape of a part, of a plain tensor, and the bytes a format needs. */
import { tensorSizeBytes, type Dtype } from '../../../shared/domain/dtype.ts'
import { formatShape } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Findings } from './findings.ts'
import { partRules, type StoredFormat } from './stored-format.ts'
import type { StoredTensors } from './stored-tensors.ts'

export const FLOATS: readonly Dtype[] = ['BF16', 'F16', 'F32']

/** A tensor that must be stored as floating point. Missing ones are reported. */
export function checkPlain(
  { tensors, findings }: { readonly tensors: StoredTensors; readonly findings: Findings },
  name: string,
  shape: readonly number[],
): void {
  const tensor = tensors.take(name)
  if (tensor === undefined) {
    if (tensors.isMissing(name)) findings.add('names.exact', name, 'this tensor is missing')
    return
  }
  if (!FLOATS.includes(tensor.dtype)) {
    findings.add('tensor.dtype', name, `it is ${tensor.dtype}, an unquantized tensor is ${FLOATS.join(', ')}`)
  } else if (!isSameShape(tensor.shape, shape)) {
    findings.add('tensor.shape', name, shapeMessage(tensor.shape, [shape]))
  }
}

/** The block size that scales of this shape would have; undefined when only another defect explains the shape. */
export function otherBlockSize(
  found: readonly number[],
  expected: readonly (readonly number[])[],
  cols: number,
): number | undefined {
  const [rows, blocks] = found
  if (found.length !== 2 || blocks === undefined || blocks === 0) return undefined
  if (!expected.some((shape) => shape.length === 2 && shape[0] === rows)) return undefined
  const size = cols / blocks
  return Number.isInteger(size) && size >= 16 && size <= 256 ? size : undefined
}

/** Bytes of a [rows, cols] matrix in a format, without optional parts; 0 for a shape that it cannot hold. */
export function declaredBytes(stored: StoredFormat, rows: number, cols: number): number {
  try {
    return partRules(stored, rows, cols).reduce((sum, { dtypes, shapes, isOptional }) => {
      const [dtype] = dtypes
      return isOptional || dtype === undefined ? sum : sum + tensorSizeBytes(dtype, shapes?.[0] ?? [])
    }, 0)
  } catch (error: unknown) {
    if (error instanceof AppError) return 0
    throw error
  }
}

export function isSameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis])
}

export function shapeMessage(found: readonly number[], expected: readonly (readonly number[])[]): string {
  return `its shape is ${formatShape(found)}, expected ${expected.map(formatShape).join(' or ')}`
}
