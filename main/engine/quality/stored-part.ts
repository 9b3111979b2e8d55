/** What an export stores of one decoder layer, or outside of layers: quantized matrices with their parts, and plain tensors. */
import { AppError } from '../../../shared/errors/app-error.ts'
import type { ErrorCode } from '../../../shared/errors/codes.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import { checkTensors, type SoundMatrix } from '../verify/check-tensors.ts'
import type { Declaration } from '../verify/declaration.ts'
import type { ExpectedModel, ExpectedUnit } from '../verify/expected-model.ts'
import { Findings } from '../verify/findings.ts'
import { StoredTensors } from '../verify/stored-tensors.ts'
import { layerOf } from './float-model.ts'

export interface StoredPart {
  /** By module. */
  readonly matrices: ReadonlyMap<string, SoundMatrix>
  /** By tensor name, `<module>.weight` for every unquantized matrix, also of experts that are stored fused. */
  readonly plain: ReadonlyMap<string, TensorSlice>
}

const CODES: Readonly<Partial<Record<string, ErrorCode>>> = {
  'names.exact': 'TENSOR_MISSING',
  'tensor.dtype': 'TENSOR_DTYPE_INVALID',
  'tensor.shape': 'TENSOR_SHAPE_INVALID',
}

/**
 * Finds everything of a layer (undefined: what belongs to none). `tensors` may have others as well. Throws TENSOR_*, CONFIG_INVALID for what
 * is missing or not as declared, FORMAT_UNSUPPORTED for codes that are not decoded here.
 */
export function readStoredPart(
  model: ExpectedModel,
  declaration: Declaration | undefined,
  tensors: ReadonlyMap<string, TensorSlice>,
  layerIndex: number | undefined,
): StoredPart {
  const isWanted = ({ name }: { readonly name: string }): boolean =>
    layerOf(model.prefix, name) === layerIndex
  const units = model.units.filter(isWanted)
  const expected = { ...model, units, plain: model.plain.filter(isWanted) }
  const findings = new Findings()
  const checked = checkTensors({
    model: expected,
    declaration,
    declaredSizes: new Set(),
    tensors: new StoredTensors(tensors, new Set()),
    findings,
  })
  const [worst] = findings.worstFirst()
  if (worst !== undefined) {
    throw new AppError(CODES[worst.rule] ?? 'CONFIG_INVALID', {
      subject: worst.subject,
      problem: worst.message,
      remedy: 'see what verify says of this export',
    })
  }
  const matrices = new Map(checked.quantized.map((sound) => [sound.matrix.module, sound]))
  for (const sound of matrices.values()) assertDecodable(sound)
  const plain = new Map<string, TensorSlice>()
  for (const { name } of expected.plain) add(plain, name, tensors.get(name))
  for (const unit of units) {
    if (!unit.matrices.some(({ module }) => matrices.has(module))) addPlainMatrices(plain, unit, tensors)
  }
  return { matrices, plain }
}

function assertDecodable({ matrix, stored, parts }: SoundMatrix): void {
  const problem = stored.hasZeroPoint
    ? 'integers with zero points'
    : parts.some(({ rule }) => rule.suffix === 'weight_g_idx')
      ? 'groups of columns in an order of their own (g_idx)'
      : stored.inputArithmetic === 'unknown'
        ? `the inputs of ${stored.name}`
        : undefined
  if (problem === undefined) return
  throw new AppError('FORMAT_UNSUPPORTED', {
    subject: matrix.module,
    problem: `${problem} cannot be evaluated`,
    remedy: 'evaluate this export with the tool that wrote it',
  })
}

function addPlainMatrices(
  plain: Map<string, TensorSlice>,
  { name, kind, matrices }: ExpectedUnit,
  tensors: ReadonlyMap<string, TensorSlice>,
): void {
  const gateUp = kind === 'experts' ? tensors.get(`${name}.gate_up_proj`) : undefined
  const down = kind === 'experts' ? tensors.get(`${name}.down_proj`) : undefined
  for (const [index, { module, rows, cols }] of matrices.entries()) {
    const fused = index % 3 === 2 ? down : gateUp
    if (fused === undefined) {
      add(plain, `${module}.weight`, tensors.get(`${module}.weight`))
      continue
    }
    const perExpert = index % 3 === 2 ? 1 : 2
    const position = perExpert * Math.floor(index / 3) + (index % 3 === 1 ? 1 : 0)
    const sizeBytes = fused.sizeBytes / ((perExpert * matrices.length) / 3)
    const offsetBytes = fused.offsetBytes + position * sizeBytes
    add(plain, `${module}.weight`, { ...fused, shape: [rows, cols], offsetBytes, sizeBytes })
  }
}

function add(plain: Map<string, TensorSlice>, name: string, tensor: TensorSlice | undefined): void {
  if (tensor !== undefined) plain.set(name, tensor)
}
