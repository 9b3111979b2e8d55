/** Where the tensors of a converted export come from: copies of stored parts, scalars, constants, and the source shard of each. */
import { AppError, invariant } from '../../../shared/errors/app-error.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { PartRole } from '../dialects/dialect.ts'
import type {
  ExportTask,
  PlannedActivationScale,
  PlannedTensor,
  QuantizeMember,
} from '../pipeline/export-plan.ts'
import type { DraftTask, PlanDraft } from '../pipeline/plan-draft.ts'
import type { StoredTransform } from '../quant/packing.ts'
import { kvKey, type StoredModule, type StoredPart, type StoredQuantization } from './stored-modules.ts'

/** A scalar whose value is read, possibly inverted, and written. F32, BF16 or F16 -> F32. */
export interface PlannedScalar {
  readonly source: TensorSlice
  readonly output: PlannedTensor
  readonly change: 'none' | 'to_reciprocal' | 'to_direct'
}

/** Whole numbers written as I64. */
export interface PlannedConstant {
  readonly output: PlannedTensor
  readonly values: readonly number[]
}

/** Follows the planner's tasks and scales back to stored parts. Throws TENSOR_MISSING, INVARIANT for a module without stored parts. */
export class PartCollector {
  readonly scalars: PlannedScalar[] = []
  readonly constants: PlannedConstant[] = []
  /** Shard of the source that each output tensor comes from. */
  readonly shardOf = new Map<PlannedTensor, number>()
  private readonly copies: {
    readonly draft: Omit<Extract<DraftTask, { kind: 'copy' }>, 'output'>
    readonly output: PlannedTensor
    readonly transform: StoredTransform | undefined
  }[] = []

  private readonly shapeShards: ReadonlyMap<string, number>

  /** `shapeShards` = source shards of `weight_shape` that are not to lie beside their weight, by name. */
  constructor(stored: StoredQuantization, draft: PlanDraft, shapeShards: ReadonlyMap<string, number>) {
    this.shapeShards = shapeShards
    for (const task of draft.tasks) {
      if (task.kind === 'copy') this.copy(task, task.output, undefined)
      else for (const member of task.members) this.member(member, task.layerIndex, stored.modules)
    }
    for (const { output, owner } of draft.activationScales) {
      const part = owner && findScale(owner, stored)
      if (part === undefined) throw missingScale(output.name)
      this.scalar(part, output)
    }
  }

  /** Call after the draft was placed. */
  tasks(): readonly ExportTask[] {
    return this.copies.map(({ draft, output, transform }, taskIndex) => ({
      ...draft,
      output: { ...output, transform },
      taskIndex,
    }))
  }

  private member(
    member: QuantizeMember,
    layerIndex: number | undefined,
    modules: ReadonlyMap<string, StoredModule>,
  ): void {
    const module = modules.get(member.module)
    invariant(module !== undefined, `${member.module} was planned as quantized but is not stored so`)
    const outputs: readonly (readonly [PartRole, PlannedTensor | undefined])[] = [
      ['weight', member.weight],
      ['weight_scale', member.weightScale],
      ['weight_scale_2', member.weightScale2],
    ]
    for (const [role, output] of outputs) {
      const part = module.parts.get(role)
      if (output === undefined) continue
      if (part === undefined) throw missingScale(output.name)
      if (role === 'weight_scale_2') this.scalar(part, output)
      else {
        const transform = part.toInternal ?? output.transform
        this.copy({ kind: 'copy', layerIndex, source: part.slice, convertTo: undefined }, output, transform)
      }
    }
    const { weightShape } = member
    const weight = module.parts.get('weight')
    if (weightShape === undefined || weight === undefined) return
    this.constants.push({ output: weightShape, values: [module.rows, module.cols] })
    const beside = weight.slice.shardIndex
    this.shardOf.set(weightShape, this.shapeShards.get(weightShape.name) ?? beside)
  }

  private copy(
    draft: Omit<Extract<DraftTask, { kind: 'copy' }>, 'output'>,
    output: PlannedTensor,
    transform: StoredTransform | undefined,
  ): void {
    this.shardOf.set(output, draft.source.shardIndex)
    this.copies.push({ draft, output, transform })
  }

  private scalar({ slice, toInternal }: StoredPart, output: PlannedTensor): void {
    this.shardOf.set(output, slice.shardIndex)
    const change =
      output.transform === 'reciprocal' ? 'to_reciprocal' : toInternal === 'reciprocal' ? 'to_direct' : 'none'
    this.scalars.push({ source: slice, output, change })
  }
}

function findScale(
  { module, kind }: NonNullable<PlannedActivationScale['owner']>,
  { modules, kv }: StoredQuantization,
): StoredPart | undefined {
  if (kind === 'input') return modules.get(module)?.inputScale
  const scale = kv.get(kvKey(module, kind))
  return scale && { slice: scale.slice, toInternal: undefined }
}

function missingScale(name: string): AppError {
  return new AppError('TENSOR_MISSING', {
    subject: name,
    problem: 'the export has nothing that this tensor could be made of, though others of its kind exist',
    remedy: 'get a complete copy of the export',
  })
}
