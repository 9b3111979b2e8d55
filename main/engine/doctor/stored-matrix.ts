/** The stored parts of one matrix, whole or not, and what their values are worth to an engine. */
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { ExpectedMatrix, ExpectedUnit } from '../verify/expected-model.ts'
import { readFloats } from '../verify/read-floats.ts'
import {
  isNvfp4,
  partRules,
  type PartRole,
  type StoredFormat,
  type StoredPartRule,
} from '../verify/stored-format.ts'
import type { HeaderCheck } from '../verify/verify-export.ts'
import type { WindowedReader } from '../verify/windowed-reader.ts'
import { AppError } from '../../../shared/errors/app-error.ts'

export interface StoredMatrix {
  readonly matrix: ExpectedMatrix
  readonly stored: StoredFormat
  readonly parts: ReadonlyMap<
    PartRole,
    { readonly rule: StoredPartRule; readonly tensor: TensorSlice | undefined }
  >
}

/** A unit that is declared quantized, with the parts its matrices have. Matrices of a shape that the format cannot hold are left out. */
export function storedMatrices(
  unit: ExpectedUnit,
  { declaration, tensors }: Pick<HeaderCheck, 'declaration' | 'tensors'>,
): readonly StoredMatrix[] {
  const stored = declaration?.formatOf(unit.name, unit.kind)
  if (stored === undefined) return []
  return unit.matrices.flatMap((matrix) => {
    const rules = rulesOf(stored, matrix)
    if (rules === undefined) return []
    const parts = rules.map((rule) => {
      const tensor = tensors.all.get(`${matrix.module}.${rule.suffix}`)
      return [rule.role, { rule, tensor }] as const
    })
    return [{ matrix, stored, parts: new Map(parts) }]
  })
}

function rulesOf(
  stored: StoredFormat,
  { rows, cols }: ExpectedMatrix,
): readonly StoredPartRule[] | undefined {
  try {
    return partRules(stored, rows, cols)
  } catch (error: unknown) {
    if (error instanceof AppError) return undefined
    throw error
  }
}

/** A scale as engines multiply with it: compressed-tensors stores the scalars of NVFP4 as reciprocals. */
export function asDirect(stored: StoredFormat, value: number): number {
  return isReciprocal(stored) ? Math.fround(1 / value) : value
}

/** Of two scalars the one that covers the larger range. */
export function wider(stored: StoredFormat, a: number, b: number): number {
  return isReciprocal(stored) ? Math.min(a, b) : Math.max(a, b)
}

function isReciprocal(stored: StoredFormat): boolean {
  return stored.dialect === 'compressed-tensors' && isNvfp4(stored)
}

/** Finite and greater than zero. */
export function isUsable(value: number | undefined): boolean {
  return value !== undefined && value > 0 && Number.isFinite(value)
}

/** First value of a float tensor; undefined without the tensor. */
export async function readScalar(
  { parts }: StoredMatrix,
  role: 'tensor_scale' | 'input_scale' | 'float_scale',
  reader: WindowedReader,
): Promise<number | undefined> {
  const tensor = parts.get(role)?.tensor
  if (tensor === undefined) return undefined
  return readFloats(tensor.dtype, await reader.read(tensor))[0]
}

/** Name and shape under which a scalar part is stored, or would be. */
export function scalarPlace(
  { matrix, parts }: StoredMatrix,
  role: 'tensor_scale' | 'input_scale' | 'float_scale',
): { readonly name: string; readonly shape: readonly number[] } | undefined {
  const part = parts.get(role)
  if (part === undefined) return undefined
  const { tensor, rule } = part
  return {
    name: `${matrix.module}.${rule.suffix}`,
    shape: tensor?.shape ?? rule.shapes?.at(-1) ?? [],
  }
}
