/**
 * Names, dtypes, shapes and exclude list of an export against what its configuration declares; headers only. Every tensor that a rule has
 * accounted for is marked, the rest is reported as unknown.
 */
import { tensorSizeBytes } from '../../../shared/domain/dtype.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import {
  checkPlain,
  declaredBytes,
  FLOATS,
  isSameShape,
  otherBlockSize,
  shapeMessage,
} from './check-parts.ts'
import type { Declaration } from './declaration.ts'
import type { ExpectedMatrix, ExpectedModel, ExpectedUnit } from './expected-model.ts'
import type { Findings } from './findings.ts'
import { weightLayout } from '../quant/layout.ts'
import { partRules, SCALE_SUFFIXES, type StoredFormat, type StoredPartRule } from './stored-format.ts'
import type { StoredTensors } from './stored-tensors.ts'

/** A matrix whose parts are all there, with the dtype and shape of its format: its values can be read. */
/** A matrix and where its parts are stored. Plain data. */
export interface StoredMatrix {
  readonly matrix: ExpectedMatrix
  readonly stored: StoredFormat
  readonly parts: readonly { readonly rule: StoredPartRule; readonly tensor: TensorSlice }[]
}

export interface SoundMatrix extends StoredMatrix {
  readonly unit: ExpectedUnit
}

export interface CheckedTensors {
  /** In the order of the model. */
  readonly quantized: readonly SoundMatrix[]
  readonly quantizedUnits: readonly { readonly unit: ExpectedUnit; readonly stored: StoredFormat }[]
  readonly lacksInputScales: boolean
  readonly expectedQuantizedBytes: number
  readonly actualQuantizedBytes: number
}

export interface TensorContext {
  readonly model: ExpectedModel
  readonly declaration: Declaration | undefined
  /** Block sizes that any description declares. */
  readonly declaredSizes: ReadonlySet<number>
  readonly tensors: StoredTensors
  readonly findings: Findings
}

/** Checks every unit and every plain tensor of the text tower. Cost: linear in tensors. */
export function checkTensors(context: TensorContext): CheckedTensors {
  const checker = new UnitChecker(context)
  for (const unit of context.model.units) checker.check(unit)
  for (const { name, shape } of context.model.plain) checkPlain(context, name, shape)
  return checker.result()
}

/** Routed experts whose matrix is half of ModelOpt's fused weight. */
const FUSED_HALF = /\.experts\.\d+\.(gate|up)_proj$/

class UnitChecker {
  private readonly context: TensorContext
  private readonly quantized: SoundMatrix[] = []
  private readonly quantizedUnits: { unit: ExpectedUnit; stored: StoredFormat }[] = []
  private readonly wrongGroupSizes = new Set<string>()
  private lacksInputScales = false
  private expectedBytes = 0
  private actualBytes = 0

  constructor(context: TensorContext) {
    this.context = context
  }

  result(): CheckedTensors {
    return {
      quantized: this.quantized,
      quantizedUnits: this.quantizedUnits,
      lacksInputScales: this.lacksInputScales,
      expectedQuantizedBytes: this.expectedBytes,
      actualQuantizedBytes: this.actualBytes,
    }
  }

  check(unit: ExpectedUnit): void {
    const declared = this.context.declaration?.formatOf(unit.name, unit.kind)
    if (unit.kind === 'experts' && this.checkFused(unit, declared)) return
    const isScaled = unit.matrices.some(({ module }) => this.isScaled(module))
    if (declared === undefined) {
      if (isScaled) this.reportExcluded(unit)
      else
        for (const { module, rows, cols } of unit.matrices)
          checkPlain(this.context, `${module}.weight`, [rows, cols])
      return
    }
    if (!isScaled && unit.matrices.some(({ module }) => this.context.tensors.partsOf(module).size > 0)) {
      this.reportUnquantized(unit, declared)
      return
    }
    this.quantizedUnits.push({ unit, stored: declared })
    for (const matrix of unit.matrices) this.checkMatrix(unit, matrix, declared)
  }

  /** Fused 3-D experts. True when they settle the unit. */
  private checkFused(unit: ExpectedUnit, declared: StoredFormat | undefined): boolean {
    const { tensors, findings, model } = this.context
    const names = [`${unit.name}.gate_up_proj`, `${unit.name}.down_proj`]
    const fused = names.filter((name) => tensors.take(name) !== undefined)
    if (fused.length === 0) return false
    if (unit.matrices.some(({ module }) => tensors.partsOf(module).size > 0)) {
      findings.add('names.one-layout', unit.name, 'its experts are stored both fused and one by one')
      return false
    }
    const { expertCount, expertWidth: f, hiddenSize: h } = model.text
    if (declared !== undefined) this.reportUnquantized(unit, declared)
    const shapes = [
      [expertCount, 2 * f, h],
      [expertCount, h, f],
    ]
    names.forEach((name, position) => {
      checkPlain(this.context, name, shapes[position] ?? [])
    })
    return true
  }

  private isScaled(module: string): boolean {
    const parts = this.context.tensors.partsOf(module)
    const weight = parts.get('weight')
    if (weight !== undefined && !FLOATS.includes(weight.dtype)) return true
    return SCALE_SUFFIXES.some((suffix) => parts.has(suffix))
  }

  private reportExcluded(unit: ExpectedUnit): void {
    const { tensors, findings, declaration } = this.context
    for (const { module } of unit.matrices) {
      for (const { name } of tensors.partsOf(module).values()) tensors.take(name)
    }
    if (declaration === undefined || declaration.unknownAlgorithms.length > 0) return
    findings.add(
      'ignore.exact',
      unit.name,
      'it has scales, but the configuration says that it is not quantized',
    )
  }

  /** Declared as quantized, stored as it was: for experts this is the whole point of the export, for a linear an entry is missing. */
  private reportUnquantized(unit: ExpectedUnit, declared: StoredFormat): void {
    const { tensors, findings } = this.context
    for (const { module, rows, cols } of unit.matrices) {
      this.expectedBytes += declaredBytes(declared, rows, cols)
      for (const { name, sizeBytes } of tensors.partsOf(module).values()) {
        tensors.take(name)
        this.actualBytes += sizeBytes
      }
    }
    if (unit.kind === 'linear') {
      findings.add(
        'ignore.exact',
        unit.name,
        `it has no scales and is not excluded (${declared.name} is declared)`,
      )
      return
    }
    const expected = unit.matrices.reduce(
      (sum, { rows, cols }) => sum + declaredBytes(declared, rows, cols),
      0,
    )
    const problem = `${declared.name} is declared, which takes ${formatBytes(expected, 'en')}, but its experts are stored unquantized`
    findings.add('bytes.expected', unit.name, problem)
  }

  private checkMatrix(unit: ExpectedUnit, matrix: ExpectedMatrix, stored: StoredFormat): void {
    const { module, cols } = matrix
    const rules = this.rulesOf(matrix, stored)
    if (rules === undefined) return
    const parts: SoundMatrix['parts'][number][] = []
    let isSound = true
    for (const rule of rules) {
      const tensor = this.context.tensors.take(`${module}.${rule.suffix}`)
      if (tensor !== undefined && this.isAsRuled(tensor, rule, stored, cols)) parts.push({ rule, tensor })
      else if (tensor !== undefined) isSound = false
      else if (!rule.isOptional) {
        isSound = false
        this.reportMissing(unit, `${module}.${rule.suffix}`, rule, stored)
      }
    }
    this.addBytes(module, rules)
    if (isSound) this.quantized.push({ unit, matrix, stored, parts })
  }

  private reportMissing(
    unit: ExpectedUnit,
    name: string,
    { role }: StoredPartRule,
    stored: StoredFormat,
  ): void {
    const { tensors, findings } = this.context
    if (role === 'input_scale' && unit.kind === 'experts') this.lacksInputScales = true
    if (tensors.isMissing(name)) findings.add('names.exact', name, `this tensor of ${stored.name} is missing`)
  }

  /** Parts of the matrix, or undefined when the format cannot hold its shape. */
  private rulesOf(
    { module, rows, cols }: ExpectedMatrix,
    stored: StoredFormat,
  ): readonly StoredPartRule[] | undefined {
    const half = FUSED_HALF.exec(module)?.[1]
    const isTiled = half !== undefined && weightLayout(stored.format.format) === 'fp8_tile'
    const fused = isTiled ? { startRow: half === 'up' ? rows : 0, totalRows: 2 * rows } : undefined
    try {
      return partRules(stored, rows, cols, fused)
    } catch (error: unknown) {
      if (!(error instanceof AppError)) throw error
      const { tensors, findings } = this.context
      const problem = `${stored.name} cannot hold [${String(rows)}, ${String(cols)}]: ${error.problem}`
      findings.add('tensor.shape', module, problem)
      for (const { name } of tensors.partsOf(module).values()) tensors.take(name)
      return undefined
    }
  }

  private addBytes(module: string, rules: readonly StoredPartRule[]): void {
    for (const { dtypes, shapes, isOptional, suffix } of rules) {
      const tensor = this.context.tensors.all.get(`${module}.${suffix}`)
      this.actualBytes += tensor?.sizeBytes ?? 0
      const [dtype] = dtypes
      const shape = shapes?.find((accepted) => tensor && isSameShape(tensor.shape, accepted)) ?? shapes?.[0]
      if (tensor !== undefined && (isOptional || dtypes.length > 1)) this.expectedBytes += tensor.sizeBytes
      else if (!isOptional && dtype !== undefined) this.expectedBytes += tensorSizeBytes(dtype, shape ?? [])
    }
  }

  private isAsRuled(
    tensor: TensorSlice,
    { dtypes, shapes, role }: StoredPartRule,
    stored: StoredFormat,
    cols: number,
  ): boolean {
    const { findings } = this.context
    if (!dtypes.includes(tensor.dtype)) {
      findings.add(
        'tensor.dtype',
        tensor.name,
        `it is ${tensor.dtype}, ${stored.name} stores ${dtypes.join(' or ')}`,
      )
      return false
    }
    if (shapes === undefined || shapes.some((shape) => isSameShape(tensor.shape, shape))) return true
    const blockSize = otherBlockSize(tensor.shape, shapes, cols)
    if (role.endsWith('_scale') && stored.format.blockSize !== undefined && blockSize !== undefined) {
      this.reportGroupSize(tensor.name, stored, blockSize)
    } else findings.add('tensor.shape', tensor.name, shapeMessage(tensor.shape, shapes))
    return false
  }

  /** One finding for each declared size, not one for each of thousands of tensors. */
  private reportGroupSize(name: string, { format, name: declared }: StoredFormat, found: number): void {
    const key = `${String(format.blockSize)} ${String(found)}`
    if (this.wrongGroupSizes.has(key) || this.context.declaredSizes.has(found)) return
    this.wrongGroupSizes.add(key)
    const problem = `${declared} is declared with blocks of ${String(format.blockSize)}, its scales are for blocks of ${String(found)}`
    this.context.findings.add('config.group-size', name, problem)
  }
}
