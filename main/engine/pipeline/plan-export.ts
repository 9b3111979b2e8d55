/**
 * The planner: headers and recipe fix every output tensor, its shard and offset, every task and every configuration text before a weight is
 * read. Pure; the same input gives the same plan. Executed by the runner, shown by `plan` and the window.
 */
import type { ExpertInputScaleChoice, KvCacheChoice } from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { indexText } from '../export/index-file.ts'
import {
  configText,
  describeQuantization,
  hfQuantConfigText,
  quantizationConfig,
} from '../export/quantization-config.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportProfile } from '../quant/formats.ts'
import type { Recipe } from '../recipes/recipe.ts'
import { resolveFormats, type ResolvedFormats } from '../recipes/resolve-formats.ts'
import type { ExportPlan, ExportTask, PlannedShard, PlannedTextFile } from './export-plan.ts'
import { PlanDraft } from './plan-draft.ts'
import { ItemPlanner } from './plan-items.ts'

export interface PlanInput {
  readonly checkpoint: Checkpoint
  readonly model: MoeModel
  readonly recipe: Recipe
  readonly profile: ExportProfile
  /** Overrides the recipe's KV cache format. */
  readonly kv?: KvCacheChoice | undefined
  readonly expertInputScale?: ExpertInputScaleChoice | undefined
  /** Bytes of tensors per shard; a larger tensor gets a shard of its own. */
  readonly maxShardSizeBytes: number
  /**
   * Quantizer names that a given calibration dump has. Without one of a tensor's sites the identical profile leaves the scale tensor out,
   * as the reference does, and the hardened profile throws AMAX_MISSING.
   */
  readonly availableSites?: ReadonlySet<string> | undefined
}

/**
 * Plans an export. Throws what resolveFormats throws; BLOCK_SIZE_UNSUPPORTED naming the module whose shape its format cannot hold;
 * FORMAT_UNSUPPORTED for a module that is not stored as a plain matrix; AMAX_MISSING; SHARD_SIZE_INVALID.
 * Cost: linear in output tensors but for one sort per shard and one for the index.
 */
export function planExport(input: PlanInput): ExportPlan {
  const { checkpoint, model, recipe, profile } = input
  const resolved = resolveFormats(recipe, model, input)
  assertStoredAsMatrix(model, resolved)
  const draft = new PlanDraft()
  const items = new ItemPlanner(draft, { ...resolved, model, profile, availableSites: input.availableSites })
  for (const item of model.exportOrder) items.add(item)
  assertNothingMissing(draft)
  const shards = draft.place(input.maxShardSizeBytes)
  const textFiles = makeTextFiles(input, resolved, draft, shards)
  return {
    profile,
    kvCache: resolved.kvCache,
    recipeName: recipe.name,
    formats: resolved.formats,
    shards,
    tensors: draft.tensors,
    tasks: draft.tasks.map((task, taskIndex): ExportTask => ({ ...task, taskIndex })),
    activationScales: draft.activationScales,
    calibrationSites: [...new Set(draft.activationScales.flatMap(({ sites }) => sites))],
    textFiles,
    sourceBytes: checkpoint.totalTensorBytes,
    outputBytes: shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    quantizedSourceBytes: draft.quantizedSourceBytes,
    quantizedOutputBytes: draft.quantizedOutputBytes,
  }
}

/** A format can only be given to what the adapter lists as a linear or as experts; a tensor with a bias beside it is not. */
function assertStoredAsMatrix(model: MoeModel, { formats }: ResolvedFormats): void {
  const matrices = new Set(
    model.exportOrder.flatMap((item) =>
      item.kind === 'linear' || item.kind === 'experts' ? [item.module] : [],
    ),
  )
  for (const [module, { format }] of formats) {
    if (matrices.has(module)) continue
    throw new AppError('FORMAT_UNSUPPORTED', {
      subject: module,
      problem: `this module must stay as it is, the recipe gives it ${format}`,
      remedy: 'disable its quantizers in the recipe, for example with default_disabled_quantizers',
    })
  }
}

function assertNothingMissing({ missingSites }: PlanDraft): void {
  const sites = [...new Set(missingSites)]
  const [first] = sites
  if (first === undefined) return
  const others = sites.length === 1 ? '' : ` and ${String(sites.length - 1)} more quantizers`
  throw new AppError('AMAX_MISSING', {
    subject: first,
    problem: `the given calibration dump has no value for it${others}, but every engine needs the scale`,
    remedy:
      'calibrate with this recipe, give a dump that covers it, or use --profile identical to leave scales out',
  })
}

function makeTextFiles(
  { checkpoint, model, profile }: PlanInput,
  { formats, kvCache }: ResolvedFormats,
  draft: PlanDraft,
  shards: readonly PlannedShard[],
): readonly PlannedTextFile[] {
  const quantization = describeQuantization({ model, profile, formats, kvCache })
  const config = quantization === undefined ? undefined : quantizationConfig(quantization, profile)
  const files: PlannedTextFile[] = [{ fileName: 'config.json', text: configText(checkpoint.config, config) }]
  if (quantization !== undefined) {
    files.push({ fileName: 'hf_quant_config.json', text: hfQuantConfigText(quantization) })
  }
  if (shards.length > 1) {
    const tensors = draft.tensors.map(({ name, shardIndex }) => ({
      name,
      fileName: shards[shardIndex]?.fileName ?? '',
    }))
    const sizeBytes = draft.tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0)
    const text = indexText(tensors, { parameterCount: draft.parameterCount, sizeBytes })
    files.push({ fileName: 'model.safetensors.index.json', text })
  }
  return files
}
