/** The repaired export as a plan that the export workers execute: every tensor of the old one, changed or not, and what is added. */
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import { dialectOf } from '../dialects/choose-dialect.ts'
import { compareCodePoints } from '../formats/safetensors/build-header.ts'
import { toLossless } from '../export/quantization-config.ts'
import { asObject, stringifyLikePython } from '../formats/hf-config/lossless-json.ts'
import type { ExportPlan, ExportTask, PlannedShard, PlannedTextFile } from '../pipeline/export-plan.ts'
import { PlanDraft, type DraftTask, type DraftTensor } from '../pipeline/plan-draft.ts'
import { INDEX_FILE } from '../verify/open-export.ts'
import type { EncodedGroup, NewScalar } from './repair.ts'
import type { RepairPlan } from './plan-repairs.ts'

export interface OutputPlan {
  readonly plan: ExportPlan
  /** Scalars by their tensor, written by the host. */
  readonly scalars: readonly { readonly output: DraftTensor; readonly scalar: NewScalar }[]
  /** True when tasks read the source checkpoint, whose shards follow those of the export in their numbering. */
  readonly needsSource: boolean
}

/** Throws TENSOR_NAME_UNKNOWN, FORMAT_UNSUPPORTED, BLOCK_SIZE_UNSUPPORTED. */
export function planOutput(repairs: RepairPlan): OutputPlan {
  const planner = new OutputPlanner(repairs)
  const { checkpoint } = repairs.opened
  for (const group of repairs.set.encoded) planner.addEncoded(group)
  for (const slice of checkpoint.tensors.values()) planner.addExisting(slice)
  planner.addRestored()
  planner.addNewScalars()
  return planner.finish()
}

class OutputPlanner {
  private readonly repairs: RepairPlan
  private readonly checkpoint: Checkpoint
  private readonly draft = new PlanDraft()
  private readonly assigned: number[][]
  private readonly scalars: { output: DraftTensor; scalar: NewScalar }[] = []
  private readonly tasks: DraftTask[] = []
  private readonly added = new Set<string>()
  private needsSource = false

  constructor(repairs: RepairPlan) {
    this.repairs = repairs
    this.checkpoint = repairs.opened.checkpoint
    this.assigned = this.checkpoint.shards.map(() => [])
  }

  addEncoded({ format, members }: EncodedGroup): void {
    const dialect = dialectOf(this.repairs.examined.headers.declaration?.dialect ?? 'modelopt')
    this.needsSource = true
    this.tasks.push({
      kind: 'quantize',
      layerIndex: undefined,
      expertIndex: undefined,
      format,
      members: members.map(({ module, source }) => {
        const [rows = 1, cols = 1] = source.shape
        const parts = dialect.parts(format, rows, cols).map((part) => {
          const name = `${module}.${part.suffix}`
          const output = this.add(name, part.dtype, part.shape, this.homeOf(name, module), part.transform)
          return [part.role, output] as const
        })
        const byRole = new Map(parts)
        const [weight, weightScale] = [byRole.get('weight'), byRole.get('weight_scale')]
        if (weight === undefined || weightScale === undefined) throw new TypeError(`${module} has no parts`)
        return {
          module,
          source: this.ofSource(source),
          weight,
          weightScale,
          weightScale2: byRole.get('weight_scale_2'),
          weightShape: byRole.get('weight_shape'),
        }
      }),
    })
  }

  addExisting(slice: TensorSlice): void {
    const { name, dtype, shape, shardIndex } = slice
    const { set } = this.repairs
    if (this.added.has(name) || set.restored.has(name)) return
    const scalar = set.scalars.get(name)
    const output = this.add(name, scalar === undefined ? dtype : 'F32', scalar?.shape ?? shape, shardIndex)
    if (scalar !== undefined) this.scalars.push({ output, scalar })
    else this.copy(output, { ...slice, dtype: 'U8' }, undefined, set.tables.get(name))
  }

  addRestored(): void {
    for (const [name, { slice, dtype, convertTo }] of this.repairs.set.restored) {
      this.needsSource = true
      const output = this.add(name, dtype, slice.shape, this.homeOf(name, name))
      // Without a conversion bytes are copied as they are; what they are worth is judged by the verification that follows.
      const raw = convertTo === undefined ? ({ ...slice, dtype: 'U8' } as const) : slice
      this.copy(output, this.ofSource(raw), convertTo, undefined)
    }
  }

  addNewScalars(): void {
    for (const [name, scalar] of this.repairs.set.scalars) {
      if (this.added.has(name)) continue
      const module = name.slice(0, name.lastIndexOf('.'))
      const output = this.add(name, 'F32', scalar.shape, this.homeOf(name, module))
      this.scalars.push({ output, scalar })
    }
  }

  finish(): OutputPlan {
    const { opened, examined, before } = this.repairs
    const names = this.checkpoint.shards.map(({ fileName }) => fileName)
    const shards = this.draft.placeAs(this.assigned, (index) => names[index] ?? 'model.safetensors')
    const tasks = this.tasks.map((task, taskIndex): ExportTask => ({ ...task, taskIndex }))
    const plan: ExportPlan = {
      profile: 'hardened',
      dialect: examined.headers.declaration?.dialect ?? 'modelopt',
      kvCache: 'none',
      recipeName: `repair of ${before.algorithm}`,
      formats: new Map(),
      shards,
      tensors: this.draft.tensors,
      tasks,
      tasksOfLayer: () => [],
      activationScales: [],
      calibrationSites: [],
      textFiles: this.textFiles(shards),
      sourceBytes: opened.checkpoint.totalTensorBytes,
      outputBytes: shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      quantizedSourceBytes: 0,
      quantizedOutputBytes: 0,
    }
    return { plan, scalars: this.scalars, needsSource: this.needsSource }
  }

  private add(
    name: string,
    dtype: DraftTensor['dtype'],
    shape: readonly number[],
    shardIndex: number,
    transform?: DraftTensor['transform'],
  ): DraftTensor {
    this.added.add(name)
    this.assigned[shardIndex]?.push(this.draft.tensors.length)
    return this.draft.add(name, dtype, shape, 0, transform)
  }

  private copy(
    output: DraftTensor,
    source: TensorSlice,
    convertTo: 'BF16' | undefined,
    table: Uint8Array<ArrayBuffer> | undefined,
  ): void {
    this.tasks.push({ kind: 'copy', layerIndex: undefined, source, output, convertTo, table })
  }

  /** Where a tensor is or, for a new one, where its nearest relative by name is: the longest common path. */
  private homeOf(name: string, module: string): number {
    const own = this.checkpoint.tensors.get(name)
    if (own !== undefined) return own.shardIndex
    const siblings = [`${module}.weight`, `${module}.weight_packed`, `${module}.weight_scale`]
    for (const sibling of siblings) {
      const found = this.checkpoint.tensors.get(sibling)
      if (found !== undefined) return found.shardIndex
    }
    return Math.max(0, this.assigned.length - 1)
  }

  private ofSource(slice: TensorSlice): TensorSlice {
    return { ...slice, shardIndex: slice.shardIndex + this.checkpoint.shards.length }
  }

  private textFiles(shards: readonly PlannedShard[]): readonly PlannedTextFile[] {
    const texts = [...this.repairs.set.texts].map(([fileName, text]) => ({ fileName, text }))
    return [...texts, ...this.indexFile(shards)]
  }

  /** What the old index says besides the places of tensors stays; its total is that of the tensors. */
  private indexFile(shards: readonly PlannedShard[]): readonly PlannedTextFile[] {
    const { hasIndex, indexMetadata } = this.repairs.opened
    if (shards.length <= 1 && !hasIndex) return []
    const { tensors } = this.draft
    const total_size = tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const metadata = { ...indexMetadata, ...asObject(toLossless({ total_size })) }
    const places = [...tensors]
      .sort((a, b) => compareCodePoints(a.name, b.name))
      .map(({ name, shardIndex }) => [name, shards[shardIndex]?.fileName ?? ''] as const)
    const text = stringifyLikePython({ metadata, weight_map: Object.fromEntries(places) }, 2)
    return [{ fileName: INDEX_FILE, text: `${text}\n` }]
  }
}
