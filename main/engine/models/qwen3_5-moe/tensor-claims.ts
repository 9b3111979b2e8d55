/** Takes tensors of a checkpoint by name, checks what they are, and knows which nobody asked for. */
import { AppError } from '../../../../shared/errors/app-error.ts'
import { formatShape } from '../../../../shared/domain/format-text.ts'
import type { TensorSlice } from '../../checkpoint/checkpoint.ts'
import type { TensorRole } from '../moe-model.ts'

/** Source dtypes that can be quantized and calibrated. */
const WEIGHT_DTYPES: readonly string[] = ['BF16', 'F16', 'F32']

/** State of one recognition; `roles` grows with every claim. */
export class TensorClaims {
  readonly roles = new Map<string, TensorRole>()
  private readonly tensors: ReadonlyMap<string, TensorSlice>

  constructor(tensors: ReadonlyMap<string, TensorSlice>) {
    this.tensors = tensors
  }

  has(name: string): boolean {
    return this.tensors.has(name)
  }

  /** The tensor, claimed for `role`. Throws TENSOR_MISSING, TENSOR_SHAPE_INVALID, TENSOR_DTYPE_INVALID. */
  take(name: string, shape: readonly number[], role: TensorRole): TensorSlice {
    const tensor = this.tensors.get(name)
    if (tensor === undefined) {
      throw new AppError('TENSOR_MISSING', {
        subject: name,
        problem: 'the checkpoint does not have this tensor',
        remedy: 'get a complete copy of the checkpoint',
      })
    }
    // Before the shape: packed weights of a quantized checkpoint have other shapes, but that is not what is wrong with them.
    if (!WEIGHT_DTYPES.includes(tensor.dtype)) {
      throw new AppError('TENSOR_DTYPE_INVALID', {
        subject: name,
        problem: `its dtype is ${tensor.dtype}; weights must be BF16, F16 or F32, so this checkpoint looks already quantized`,
        remedy: 'use the unquantized checkpoint',
      })
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
      throw new AppError('TENSOR_SHAPE_INVALID', {
        subject: name,
        problem: `its shape is ${formatShape(tensor.shape)}, the configuration asks for ${formatShape(shape)}${transposedHint(tensor.shape, shape)}`,
        remedy: 'use weights and config.json of the same model',
      })
    }
    this.roles.set(name, role)
    return tensor
  }

  /** Claims a tensor as it is. */
  carry(name: string, role: TensorRole): TensorSlice | undefined {
    const tensor = this.tensors.get(name)
    if (tensor !== undefined) this.roles.set(name, role)
    return tensor
  }

  /** Tensors nobody asked for, in checkpoint order. */
  unclaimed(): readonly TensorSlice[] {
    return [...this.tensors.values()].filter(({ name }) => !this.roles.has(name))
  }
}

function transposedHint(found: readonly number[], expected: readonly number[]): string {
  const swapped = [...expected.slice(0, -2), expected.at(-1), expected.at(-2)]
  const isTransposed =
    expected.length >= 2 &&
    found.length === expected.length &&
    found.every((size, axis) => size === swapped[axis])
  return isTransposed ? ' (it is stored transposed, as another model family does)' : ''
}
