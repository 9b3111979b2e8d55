/**
 * The plan of a conversion: the planner of exports lays out the target, and every quantized matrix becomes copies of stored parts instead of
 * an encoding. Scalars (tensor scales, input scales, KV scales) are listed apart: their values decide, so the host writes them.
 */
import type { DialectChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint, TensorSlice } from '../checkpoint/checkpoint.ts'
import { adoptFormats, dialectOf } from '../dialects/choose-dialect.ts'
import type { JsonObject } from '../formats/hf-config/lossless-json.ts'
import type { MoeModel } from '../models/moe-model.ts'
import { recogniseModel } from '../models/recognise-model.ts'
import type { ExportPlan, PlannedTensor } from '../pipeline/export-plan.ts'
import { PlanDraft } from '../pipeline/plan-draft.ts'
import { ItemPlanner } from '../pipeline/plan-items.ts'
import { planTextFiles } from '../pipeline/plan-text-files.ts'
import type { ExportProfile, ModuleFormat } from '../quant/formats.ts'
import { fusedTilesFit } from '../quant/layout.ts'
import { refuseChangedMeaning } from './changed-meaning.ts'
import { readDeclaration } from './declared-schemes.ts'
import { kvFormat, moduleFormats, moduleKey, storedSites } from './module-formats.ts'
import { PartCollector, type PlannedConstant, type PlannedScalar } from './part-collector.ts'
import { readStoredModules, type StoredQuantization } from './stored-modules.ts'
import { unquantizedView } from './unquantized-view.ts'

export interface ConvertInput {
  readonly checkpoint: Checkpoint
  /** hf_quant_config.json; undefined without one. */
  readonly legacy: JsonObject | undefined
  readonly target: DialectChoice
  /** Which exclude list and keys the modelopt dialect gets; compressed-tensors has one form. */
  readonly profile: ExportProfile
  /** undefined = tensors stay in the shards they are in. */
  readonly maxShardSizeBytes: number | undefined
  /** Where a `weight_shape` lay before an earlier conversion, by file name, when not beside its weight. */
  readonly shapeShards?: ReadonlyMap<string, string> | undefined
}

export interface ConvertPlan {
  readonly plan: ExportPlan
  readonly source: DialectChoice
  readonly model: MoeModel
  readonly scalars: readonly PlannedScalar[]
  /** Sizes of packed matrices, written as they are. */
  readonly constants: readonly PlannedConstant[]
  /** For converting back: shards of the `weight_shape` that this conversion leaves out and that did not lie beside their weight. */
  readonly shapeShards: ReadonlyMap<string, string>
  /** Input scales that the target has no place for. */
  readonly droppedScales: readonly string[]
  /** True when converting back gives the bytes of every tensor again, recorded reciprocals included. */
  readonly isReversible: boolean
  /** What a user should know about the result. */
  readonly notes: readonly string[]
}

/**
 * Plans a conversion. Throws everything that reading declaration, modules and model throws; DIALECT_UNSUPPORTED when source and target are
 * one dialect or a format has no counterpart; TENSOR_MISSING for a scale that the target needs of every module.
 */
export function planConvert(input: ConvertInput): ConvertPlan {
  const declared = readDeclaration(input.checkpoint.config, input.legacy)
  if (declared.dialect === input.target) throw sameDialect(input.target)
  const source = dialectOf(declared.dialect)
  const target = dialectOf(input.target)
  const stored = readStoredModules(input.checkpoint.tensors, declared, source)
  const view = unquantizedView(input.checkpoint, stored)
  const model = recogniseModel(view)
  const formats = moduleFormats(stored, model)
  for (const [module, format] of formats) refuseChangedMeaning(module, format, input.target)
  const resolved = adoptFormats(target, { formats, kvCache: kvFormat(declared, stored) })
  const draft = new PlanDraft()
  const items = new ItemPlanner(draft, {
    ...resolved,
    dialect: target,
    model,
    profile: 'hardened',
    expertInputScale: 'per_expert',
    availableSites: storedSites(stored),
    // Stored tiles are copied, so a division that changes their number is not possible here.
    dividesFusedTiles: input.profile === 'identical' && fusedTilesFit(model.text.expertWidth),
  })
  for (const item of model.exportOrder) items.add(item)
  if (input.target === 'compressed-tensors') refuseMissing(draft)
  const parts = new PartCollector(stored, draft, shapeIndexes(input))
  const shards = placeDraft(draft, parts.shardOf, input)
  const dropped = droppedScales(stored, resolved.formats)
  const losesInputs = input.target === 'modelopt' && hasWeightOnlyMxfp4(resolved.formats)
  const described = { model, profile: input.profile, dialect: input.target, ...resolved }
  const tasks = parts.tasks()
  return {
    source: declared.dialect,
    model,
    scalars: parts.scalars,
    constants: parts.constants,
    shapeShards: input.maxShardSizeBytes === undefined ? apartShapes(stored, input.checkpoint) : new Map(),
    droppedScales: dropped,
    isReversible: dropped.length === 0 && !losesInputs && keepsEveryByte(stored, declared.dialect),
    notes: notes(resolved.formats, input.target),
    plan: {
      profile: 'hardened',
      dialect: input.target,
      kvCache: resolved.kvCache,
      recipeName: `convert to ${input.target}`,
      formats: resolved.formats,
      shards,
      tensors: draft.tensors,
      tasks,
      tasksOfLayer: (layerIndex) => tasks.filter((task) => task.layerIndex === layerIndex),
      activationScales: [],
      calibrationSites: [],
      textFiles: planTextFiles(view.config, described, draft, shards),
      sourceBytes: input.checkpoint.totalTensorBytes,
      outputBytes: shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      quantizedSourceBytes: draft.quantizedOutputBytes,
      quantizedOutputBytes: draft.quantizedOutputBytes,
    },
  }
}

function refuseMissing({ missingSites }: PlanDraft): void {
  const [site] = missingSites
  if (site === undefined) return
  throw new AppError('TENSOR_MISSING', {
    subject: site,
    problem: 'the export has no scale of this input, which the other dialect needs',
    remedy: 'calibrate again, so that every input has a scale',
  })
}

function placeDraft(
  draft: PlanDraft,
  shardOf: ReadonlyMap<PlannedTensor, number>,
  { checkpoint, maxShardSizeBytes }: ConvertInput,
): ExportPlan['shards'] {
  if (maxShardSizeBytes !== undefined) return draft.place(maxShardSizeBytes)
  const assigned = checkpoint.shards.map((): number[] => [])
  for (const [position, tensor] of draft.tensors.entries()) assigned[shardOf.get(tensor) ?? 0]?.push(position)
  const isSingle = assigned.length === 1
  return draft.placeAs(assigned, (index) =>
    isSingle ? 'model.safetensors' : (checkpoint.shards[index]?.fileName ?? 'model.safetensors'),
  )
}

function shapeIndexes({ checkpoint, shapeShards }: ConvertInput): ReadonlyMap<string, number> {
  const indexes = new Map(checkpoint.shards.map(({ fileName }, index) => [fileName, index]))
  return new Map(
    [...(shapeShards ?? [])].flatMap(([name, fileName]) => {
      const index = indexes.get(fileName)
      return index === undefined ? [] : [[name, index] as const]
    }),
  )
}

/** `weight_shape` of the source that began a new shard, after the weight. */
function apartShapes({ modules }: StoredQuantization, { shards }: Checkpoint): ReadonlyMap<string, string> {
  return new Map(
    [...modules.values()].flatMap(({ parts }) => {
      const slice = parts.get('weight_shape')?.slice
      if (slice === undefined || slice.shardIndex === parts.get('weight')?.slice.shardIndex) return []
      return [[slice.name, shards[slice.shardIndex]?.fileName ?? ''] as const]
    }),
  )
}

function droppedScales(
  { modules }: StoredQuantization,
  formats: ReadonlyMap<string, ModuleFormat>,
): readonly string[] {
  return [...modules.values()].flatMap(({ name, format, inputScale }) => {
    const isDropped = format.format === 'int8_sq' && formats.get(moduleKey(name))?.inputScale === undefined
    return inputScale === undefined || !isDropped ? [] : [inputScale.slice.name]
  })
}

/** False for scales that become F32, for sizes of packed matrices that are missing or no I64, and for plain INT8 weights without quantized inputs, which would come back packed. */
function keepsEveryByte({ modules, kv }: StoredQuantization, source: DialectChoice): boolean {
  const isF32 = ({ slice }: { readonly slice: TensorSlice }): boolean => slice.dtype === 'F32'
  return (
    [...kv.values()].every(isF32) &&
    [...modules.values()].every(({ format, parts, inputScale }) => {
      const isWidened = parts.get('weight_scale')?.toInternal !== undefined
      const isPlain = format.format === 'int8_wo' && parts.get('weight')?.slice.dtype === 'I8'
      const isOther = isPlain && source === 'compressed-tensors'
      const isPacked = parts.get('weight')?.slice.dtype === 'I32'
      const hasShape = parts.get('weight_shape')?.slice.dtype === 'I64'
      return (
        !isWidened && !isOther && hasShape === isPacked && (inputScale === undefined || isF32(inputScale))
      )
    })
  )
}

function notes(formats: ReadonlyMap<string, ModuleFormat>, target: DialectChoice): readonly string[] {
  if (target === 'modelopt') {
    return hasWeightOnlyMxfp4(formats)
      ? [
          'mxfp4: the modelopt dialect does not say that inputs stay in 16 bit; converting back declares MXFP4 inputs',
        ]
      : []
  }
  const isMxfp4 = [...formats.values()].some(({ format }) => format === 'mxfp4')
  return isMxfp4
    ? ['mxfp4: the modelopt dialect does not say whether inputs are quantized; MXFP4 inputs are declared']
    : []
}

function hasWeightOnlyMxfp4(formats: ReadonlyMap<string, ModuleFormat>): boolean {
  return [...formats.values()].some(
    ({ format, hasDynamicInput }) => format === 'mxfp4' && hasDynamicInput !== true,
  )
}

function sameDialect(target: DialectChoice): AppError {
  return new AppError('DIALECT_UNSUPPORTED', {
    subject: target,
    problem: 'the export is in this dialect already',
    remedy: 'copy it, or choose the other dialect',
  })
}
