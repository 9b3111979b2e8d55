/**
 * Expands the export order of a model into output tensors, tasks and activation scales, by the format of each module.
 * Source: buffer order and fusion rules of ModelOpt's unified export; tensor names and splits of its fused-experts exporter.
 */
import { AppError } from '../../../shared/errors/app-error.ts'
import { elementCount, type Dtype } from '../../../shared/domain/dtype.ts'
import type { ExpertInputScaleChoice } from '../../../shared/domain/run-options.ts'
import type { TensorSlice } from '../checkpoint/checkpoint.ts'
import type { Dialect, DialectPart, PartRole } from '../dialects/dialect.ts'
import type { ExpertSlices, ExportItem, MoeModel, TensorRole } from '../models/moe-model.ts'
import type { ExportProfile, KvCacheFormat, ModuleFormat } from '../quant/formats.ts'
import type { FoldMap } from '../smoothing/fold-map.ts'
import { sharesGroupAmax, TILE_SIZE, type FusedHalf } from '../quant/layout.ts'
import type { PlannedActivationScale, PlannedTensor, QuantizeMember } from './export-plan.ts'
import type { PlanDraft } from './plan-draft.ts'

export interface ItemContext {
  readonly model: MoeModel
  readonly profile: ExportProfile
  readonly dialect: Dialect
  readonly formats: ReadonlyMap<string, ModuleFormat>
  readonly kvCache: KvCacheFormat
  readonly expertInputScale: ExpertInputScaleChoice
  /** Quantizers a given dump has; undefined = the run calibrates all. */
  readonly availableSites: ReadonlySet<string> | undefined
  /** True = the tiles of a fused expert are divided between gate and up as ModelOpt does it, even where a tile holds rows of both. */
  readonly dividesFusedTiles: boolean
  /** Which tensors smoothing vectors rewrite; absent = none. */
  readonly folds?: FoldMap | undefined
}

/** Bound of FP8, which KV scales are relative to in FP8 and NVFP4 caches alike. */
const KV_DIVISOR = 448
/** Roles that the reference loads into the model; the others are carried over as they are. */
const CARRIED_ROLES: readonly TensorRole[] = ['mtp', 'other']

type Placement = Pick<PlannedActivationScale, 'sites' | 'expertIndex' | 'scope'>
type ScaleTensor = Pick<PlannedActivationScale, 'owner' | 'constantAmax' | 'divisor'> & {
  readonly name: string
  readonly shape: readonly number[]
  readonly transform?: 'reciprocal' | undefined
}

/** Adds every item of the export order. Throws BLOCK_SIZE_UNSUPPORTED with the module, INVARIANT for formats of modules that have no item. */
export class ItemPlanner {
  private readonly draft: PlanDraft
  private readonly context: ItemContext
  private readonly groupOf = new Map<string, readonly string[]>()
  /** Members of a fusion group waiting for the last one. */
  private readonly openGroups = new Map<readonly string[], QuantizeMember[]>()
  private readonly partsCache = new Map<string, readonly DialectPart[]>()

  constructor(draft: PlanDraft, context: ItemContext) {
    this.draft = draft
    this.context = context
    for (const group of context.model.fusionGroups) {
      for (const module of group) this.groupOf.set(module, group)
    }
  }

  add(item: ExportItem): void {
    switch (item.kind) {
      case 'tensor':
        this.addCopy(item.name, item.source, item.role, item.layerIndex)
        break
      case 'linear':
        this.addLinear(item)
        break
      case 'experts':
        for (const [expertIndex, expert] of item.experts.entries()) this.addExpert(item, expert, expertIndex)
        break
      case 'kv_cache':
        this.addKvScales(item.module)
        break
    }
  }

  private addCopy(name: string, source: TensorSlice, role: TensorRole, layerIndex: number | undefined): void {
    const isCarried = CARRIED_ROLES.includes(role)
    const isConverted =
      this.context.profile === 'identical' && !isCarried && ['F32', 'F16'].includes(source.dtype)
    const dtype: Dtype = isConverted ? 'BF16' : source.dtype
    const output = this.draft.add(name, dtype, source.shape, isCarried ? 0 : elementCount(source.shape))
    this.draft.tasks.push({
      kind: 'copy',
      layerIndex,
      source,
      output,
      convertTo: isConverted ? 'BF16' : undefined,
      fold: this.context.folds?.foldOf(name.replace(/\.weight$/, '')),
    })
  }

  private addLinear({ module, source, role, layerIndex }: Extract<ExportItem, { kind: 'linear' }>): void {
    const format = this.context.formats.get(module)
    if (format === undefined) {
      this.addCopy(`${module}.weight`, source, role, layerIndex)
      return
    }
    const group = sharesGroupAmax(format.format) ? this.groupOf.get(module) : undefined
    const parts = this.parts(format, source, module)
    const weight = this.addPart(module, parts, 'weight')
    const weightScale = this.addPart(module, parts, 'weight_scale')
    // The reference unifies the input maximum of a group for every format but per-tensor FP8.
    const inputGroup = format.format === 'fp8' ? undefined : this.groupOf.get(module)
    const sites = (inputGroup ?? [module]).map((member) => `${member}.input_quantizer`)
    this.addInputScale(module, format, { sites, expertIndex: undefined, scope: 'module' })
    const weightScale2 = this.addOptionalPart(module, parts, 'weight_scale_2')
    const weightShape = this.addOptionalPart(module, parts, 'weight_shape')
    const member = this.addMember({ module, source, weight, weightScale, weightScale2, weightShape })
    const members = group === undefined ? [member] : this.joinGroup(group, member)
    if (members !== undefined) {
      this.draft.tasks.push({ kind: 'quantize', layerIndex, expertIndex: undefined, format, members })
    }
  }

  /** All members of the group once the last one has come; undefined before. */
  private joinGroup(group: readonly string[], member: QuantizeMember): readonly QuantizeMember[] | undefined {
    const members = this.openGroups.get(group) ?? []
    members.push(member)
    this.openGroups.set(group, members)
    return members.length === group.length ? members : undefined
  }

  private addExpert(
    { module, layerIndex }: Extract<ExportItem, { kind: 'experts' }>,
    { gate, up, down }: ExpertSlices,
    expertIndex: number,
  ): void {
    const format = this.context.formats.get(module)
    const name = (projection: string): string => `${module}.${String(expertIndex)}.${projection}_proj`
    if (format === undefined) {
      const slices = { gate, up, down }
      for (const [projection, slice] of Object.entries(slices)) {
        this.addCopy(`${name(projection)}.weight`, slice, 'expert', layerIndex)
      }
      return
    }
    const gateUpSite = `${module}.gate_up_proj_input_quantizer`
    const members = [
      this.addExpertMatrix(
        name('gate'),
        gate,
        format,
        gateUpSite,
        expertIndex,
        this.fusedHalf(format, gate, 0),
      ),
      this.addExpertMatrix(name('up'), up, format, gateUpSite, expertIndex, this.fusedHalf(format, up, 1)),
    ]
    this.draft.tasks.push({ kind: 'quantize', layerIndex, expertIndex, format, members })
    const downSite = `${module}.down_proj_input_quantizer`
    const downMember = this.addExpertMatrix(name('down'), down, format, downSite, expertIndex)
    this.draft.tasks.push({ kind: 'quantize', layerIndex, expertIndex, format, members: [downMember] })
  }

  private addExpertMatrix(
    module: string,
    source: TensorSlice,
    format: ModuleFormat,
    site: string,
    expertIndex: number,
    fused?: FusedHalf,
  ): QuantizeMember {
    const parts = this.parts(format, source, module, fused)
    const weight = this.addPart(module, parts, 'weight')
    const weightScale = this.addPart(module, parts, 'weight_scale')
    const weightScale2 = this.addOptionalPart(module, parts, 'weight_scale_2')
    const weightShape = this.addOptionalPart(module, parts, 'weight_shape')
    const scope = this.context.expertInputScale
    this.addInputScale(module, format, { sites: [site], expertIndex, scope })
    return this.addMember({ module, source, weight, weightScale, weightScale2, weightShape, fused })
  }

  /**
   * Place of gate (0) or up (1) in the fused weight whose tiles they divide; undefined for formats without tiles. Where a tile holds rows of
   * both, ModelOpt's maxima do not cover the rows they are used for: such halves get tiles of their own unless its bytes are wanted.
   */
  private fusedHalf({ format }: ModuleFormat, { shape }: TensorSlice, half: 0 | 1): FusedHalf | undefined {
    const [rows = 0] = shape
    const isDivided = rows % TILE_SIZE === 0 || this.context.dividesFusedTiles
    if (format !== 'fp8_pb_wo' || !isDivided || this.context.dialect.name !== 'modelopt') return undefined
    return { startRow: half * rows, totalRows: 2 * rows }
  }

  private addKvScales(module: string): void {
    if (this.context.kvCache !== 'fp8' && this.context.kvCache !== 'nvfp4') return
    for (const letter of ['k', 'v'] as const) {
      const owner = { module, kind: letter }
      this.addScale(
        {
          owner,
          constantAmax: undefined,
          divisor: KV_DIVISOR,
          ...this.context.dialect.kvScale(module, letter),
        },
        { sites: [`${module}.${letter}_bmm_quantizer`], expertIndex: undefined, scope: 'module' },
      )
    }
  }

  private addInputScale(module: string, format: ModuleFormat, placement: Placement): void {
    const input = format.inputScale
    if (input === undefined) return
    const constantAmax = input.kind === 'constant' ? input.amax : undefined
    const { suffix, shape, transform } = this.context.dialect.inputScale(format)
    const owner = { module, kind: 'input' } as const
    const output = this.addScale(
      { name: `${module}.${suffix}`, owner, shape, transform, constantAmax, divisor: input.divisor },
      placement,
    )
    this.draft.quantizedOutputBytes += output?.sizeBytes ?? 0
  }

  /** The scale tensor, or undefined where a given dump has none of its sites (the reference then writes no tensor). */
  private addScale(tensor: ScaleTensor, placement: Placement): PlannedTensor | undefined {
    const { name, shape, transform, ...facts } = tensor
    const { constantAmax } = facts
    const { availableSites, profile } = this.context
    const { sites, ...place } = placement
    const present =
      constantAmax !== undefined ? [] : sites.filter((site) => availableSites?.has(site) ?? true)
    if (constantAmax === undefined && present.length === 0) {
      if (profile === 'hardened') this.draft.missingSites.push(...sites)
      return undefined
    }
    const output = this.draft.add(name, 'F32', shape, 0, transform)
    this.draft.activationScales.push({ output, ...place, ...facts, sites: present })
    return output
  }

  private addMember(unfolded: QuantizeMember): QuantizeMember {
    const fold = this.context.folds?.foldOf(unfolded.module)
    const member = fold === undefined ? unfolded : { ...unfolded, fold }
    const { source, weight, weightScale, weightScale2, weightShape } = member
    this.draft.quantizedSourceBytes += source.sizeBytes
    this.draft.quantizedOutputBytes +=
      weight.sizeBytes +
      weightScale.sizeBytes +
      (weightScale2?.sizeBytes ?? 0) +
      (weightShape?.sizeBytes ?? 0)
    return member
  }

  private addPart(module: string, parts: readonly DialectPart[], role: PartRole): PlannedTensor {
    const tensor = this.addOptionalPart(module, parts, role)
    if (tensor !== undefined) return tensor
    throw new AppError('INVARIANT', {
      subject: module,
      problem: `its format has no ${role}`,
      remedy: 'report this with the job log',
    })
  }

  private addOptionalPart(
    module: string,
    parts: readonly DialectPart[],
    role: PartRole,
  ): PlannedTensor | undefined {
    const part = parts.find((candidate) => candidate.role === role)
    if (part === undefined) return undefined
    const parameters = role === 'weight' ? elementCount(part.shape) : 0
    return this.draft.add(`${module}.${part.suffix}`, part.dtype, part.shape, parameters, part.transform)
  }

  /** Parts of a matrix; the same list for every matrix of one format and shape, so that a plan holds each shape once. */
  private parts(
    format: ModuleFormat,
    { shape }: TensorSlice,
    module: string,
    fused?: FusedHalf,
  ): readonly DialectPart[] {
    const [rows = 0, cols = 0] = shape
    const half = fused === undefined ? '' : `/${String(fused.startRow)}`
    const key = `${format.format}/${String(format.blockSize)}/${String(rows)}x${String(cols)}${half}`
    const cached = this.partsCache.get(key)
    if (cached !== undefined) return cached
    try {
      const parts = this.context.dialect.parts(format, rows, cols, fused)
      this.partsCache.set(key, parts)
      return parts
    } catch (error: unknown) {
      if (!(error instanceof AppError)) throw error
      const problem = `${error.subject}: ${error.problem}`
      throw new AppError(error.code, { subject: module, problem, remedy: error.remedy, cause: error })
    }
  }
}
