/**
 * The planner: headers and recipe fix every output tensor, its shard and offset, every task and every configuration text before a weight is
 * read. Pure; the same input gives the same plan. Executed by the runner, shown by `plan` and the window.
 */
import type {
  DialectChoice,
  ExpertInputScaleChoice,
  KvCacheChoice,
} from '../../../shared/domain/run-options.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { Checkpoint } from '../checkpoint/checkpoint.ts'
import { adoptFormats, dialectOf } from '../dialects/choose-dialect.ts'
import type { MoeModel } from '../models/moe-model.ts'
import type { ExportProfile } from '../quant/formats.ts'
import type { Recipe } from '../recipes/recipe.ts'
import type { SmoothingGroup } from '../smoothing/smoothing.ts'
import { resolveFormats, type ResolvedFormats } from '../recipes/resolve-formats.ts'
import { FoldMap, leftAlone, smoothingGroups } from '../smoothing/fold-map.ts'
import type { ExportPlan, PlannedSmoothing } from './export-plan.ts'
import { PlanDraft } from './plan-draft.ts'
import { ItemPlanner, type ItemContext } from './plan-items.ts'
import { planTextFiles } from './plan-text-files.ts'
import { ReplayPlan } from './replay-plan.ts'

export interface PlanInput {
  readonly checkpoint: Checkpoint
  readonly model: MoeModel
  readonly recipe: Recipe
  readonly profile: ExportProfile
  /** Overrides the recipe's dialect; modelopt when neither says one. */
  readonly dialect?: DialectChoice | undefined
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
 * Plans an export. Throws what resolveFormats throws; DIALECT_UNSUPPORTED for a format the dialect has no counterpart of; BLOCK_SIZE_UNSUPPORTED naming the module whose shape its format cannot hold;
 * FORMAT_UNSUPPORTED for a module that is not stored as a plain matrix; AMAX_MISSING; SHARD_SIZE_INVALID.
 * Cost: linear in output tensors but for one sort per shard and one for the index.
 */
export function planExport(input: PlanInput): ExportPlan {
  const { checkpoint, model, recipe, profile } = input
  const dialect = dialectOf(input.dialect ?? recipe.dialect ?? 'modelopt')
  const asked = resolveFormats(recipe, model, input)
  const resolved = adoptFormats(dialect, asked)
  assertStoredAsMatrix(model, resolved)
  const draft = new PlanDraft()
  const { availableSites } = input
  const groups =
    recipe.smoothing === undefined ? [] : smoothingGroups(recipe.smoothing, model, resolved.formats)
  const folds = groups.length === 0 ? undefined : new FoldMap(groups.map(({ key }) => key))
  const makePlanner = plannerFactory({
    ...resolved,
    dialect,
    model,
    profile,
    availableSites,
    dividesFusedTiles: profile === 'identical',
    folds,
  })
  const planner = makePlanner(draft)
  const marks = model.exportOrder.map((item) => {
    const mark = { tensors: draft.tensors.length, tasks: draft.tasks.length }
    planner.add(item)
    return mark
  })
  assertNothingMissing(draft)
  const shards = draft.place(input.maxShardSizeBytes)
  const described = { model, profile, dialect: dialect.name, ...resolved }
  const replay = new ReplayPlan({ items: model.exportOrder, makePlanner, placed: draft, marks })
  const textFiles = planTextFiles(checkpoint.config, described, draft, shards)
  return {
    profile,
    dialect: dialect.name,
    kvCache: resolved.kvCache,
    asked: { formats: asked.formats, kvCache: asked.kvCache },
    recipeName: recipe.name,
    formats: resolved.formats,
    shards,
    tensors: replay.tensors,
    tasks: replay.tasks,
    tasksOfLayer: replay.tasksOfLayer,
    activationScales: replay.activationScales,
    percentile: recipe.percentile,
    smoothing: planSmoothing(recipe, groups, draft, resolved),
    calibrationSites: [
      ...new Set([
        ...draft.activationScales.flatMap(({ sites }) => sites),
        ...groups.map(({ site }) => site),
      ]),
    ],
    textFiles,
    sourceBytes: checkpoint.totalTensorBytes,
    outputBytes: shards.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    quantizedSourceBytes: draft.quantizedSourceBytes,
    quantizedOutputBytes: draft.quantizedOutputBytes,
  }
}

/** undefined for a recipe that rescales nothing. Throws RECIPE_PATTERN_UNMATCHED for one that finds nothing to rescale. */
function planSmoothing(
  { smoothing, name: recipeName }: Recipe,
  groups: readonly SmoothingGroup[],
  { tasks }: PlanDraft,
  { formats }: ResolvedFormats,
): PlannedSmoothing | undefined {
  if (smoothing === undefined) return undefined
  if (groups.length === 0) {
    throw new AppError('RECIPE_PATTERN_UNMATCHED', {
      subject: recipeName,
      problem: `${smoothing.kind} finds no linear whose input channels it could rescale`,
      remedy:
        'quantize projections or experts, for smoothquant to 8-bit weights and inputs; or use method: max',
    })
  }
  const rewritten = tasks.filter((task) => task.kind === 'copy' && task.fold !== undefined)
  return { method: smoothing, groups, rewrittenCount: rewritten.length, leftAlone: leftAlone(formats) }
}

/** On its own, so that what stays with the plan holds on to nothing else of the planning. */
function plannerFactory(context: ItemContext): (draft: PlanDraft) => ItemPlanner {
  return (draft) => new ItemPlanner(draft, context)
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
