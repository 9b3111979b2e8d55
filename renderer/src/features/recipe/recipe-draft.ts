/** What the user has chosen for a run, as the form holds it, and how it becomes run options. Pure. */
import type { PathGrant } from '../../../../shared/domain/app-info.ts'
import {
  DEFAULT_CALIBRATION,
  DEFAULT_RUN_OPTIONS,
  type DeviceChoice,
  type DialectChoice,
  type ExpertInputScaleChoice,
  type KvCacheChoice,
  type ProfileChoice,
  type QualityChoice,
  type RunOptions,
  STATE_MEMORY_SHARE,
} from '../../../../shared/domain/run-options.ts'
import { gibibytesOf, gibibyteText } from '../../composables/gibibytes.ts'
import { text } from '../../locales/en.ts'

export const RECOMMENDED_RECIPE = 'nvfp4_experts_only-kv_fp8'

/** Below this, a checkpoint is for trying out and gets a calibration that ends in seconds. */
const SMALL_CHECKPOINT_BYTES = 2 ** 31
const GIGABYTE = 1e9

export interface RecipeDraft {
  readonly recipe: string
  /** A recipe file of the user's; it replaces `recipe`. */
  readonly recipeGrant: PathGrant | undefined
  readonly kv: KvCacheChoice | 'recipe'
  readonly profile: ProfileChoice
  readonly dialect: DialectChoice | 'recipe'
  readonly expertInputScale: ExpertInputScaleChoice | 'default'
  readonly calibrationGrant: PathGrant | undefined
  readonly samples: string
  readonly sequenceLength: string
  /** Empty = natural coverage. */
  readonly minTokensPerExpert: string
  readonly quality: QualityChoice | 'auto'
  readonly device: DeviceChoice
  readonly workers: string
  /** That the run may need; 0 = no limit. */
  readonly memoryGibibytes: string
  readonly maxShardGigabytes: string
  readonly outputGrant: PathGrant | undefined
  /** undefined = follows checkpoint and recipe. */
  readonly outputName: string | undefined
}

/** What the settings say for every new run. */
export interface RunDefaults {
  readonly device: DeviceChoice
  readonly workers: number
  /** 0 = no limit. */
  readonly memoryLimitBytes: number
  readonly outputGrant: PathGrant | undefined
}

export const NO_DEFAULTS: RunDefaults = {
  device: DEFAULT_RUN_OPTIONS.device,
  workers: DEFAULT_RUN_OPTIONS.workers,
  memoryLimitBytes: 0,
  outputGrant: undefined,
}

export type DraftField =
  | 'samples'
  | 'sequenceLength'
  | 'minTokensPerExpert'
  | 'workers'
  | 'memoryGibibytes'
  | 'maxShardGigabytes'
  | 'outputName'
export type DraftProblems = Readonly<Partial<Record<DraftField, string>>>

export function createDraft(totalBytes: number, defaults: RunDefaults = NO_DEFAULTS): RecipeDraft {
  const isSmall = totalBytes < SMALL_CHECKPOINT_BYTES
  return {
    recipe: RECOMMENDED_RECIPE,
    recipeGrant: undefined,
    kv: 'recipe',
    profile: DEFAULT_RUN_OPTIONS.profile,
    dialect: 'recipe',
    expertInputScale: 'default',
    calibrationGrant: undefined,
    samples: String(isSmall ? 16 : DEFAULT_CALIBRATION.samples),
    sequenceLength: String(isSmall ? 256 : DEFAULT_CALIBRATION.sequenceLength),
    minTokensPerExpert: '',
    quality: 'auto',
    device: defaults.device,
    workers: String(defaults.workers),
    memoryGibibytes: gibibyteText(defaults.memoryLimitBytes),
    maxShardGigabytes: String(DEFAULT_RUN_OPTIONS.maxShardSizeBytes / GIGABYTE),
    outputGrant: defaults.outputGrant,
    outputName: undefined,
  }
}

/** Bounds are those of the contract's schema, so that main never has to refuse what the form accepted. */
export function draftProblems(draft: RecipeDraft, outputName: string): DraftProblems {
  const found: [DraftField, string | undefined][] = [
    ['samples', amountProblem(draft.samples, 1, 1_000_000)],
    ['sequenceLength', amountProblem(draft.sequenceLength, 2, 262_144)],
    ['minTokensPerExpert', amountProblem(draft.minTokensPerExpert, 1, 1_000_000)],
    ['workers', wholeProblem(draft.workers, 0, 256)],
    [
      'memoryGibibytes',
      gibibytesOf(draft.memoryGibibytes) === undefined ? text.recipe.problems.memory : undefined,
    ],
    [
      'maxShardGigabytes',
      shardBytes(draft.maxShardGigabytes) === undefined ? text.recipe.problems.shard : undefined,
    ],
    [
      'outputName',
      /^[A-Za-z0-9_][A-Za-z0-9._+ -]{0,199}$/.test(outputName) ? undefined : text.recipe.problems.name,
    ],
  ]
  return Object.fromEntries(found.filter(([, problem]) => problem !== undefined))
}

/** Call only with a draft without problems. */
export function toRunOptions(draft: RecipeDraft): RunOptions {
  return {
    recipe: draft.recipeGrant?.grantId ?? draft.recipe,
    kv: draft.kv === 'recipe' ? undefined : draft.kv,
    dialect: draft.dialect === 'recipe' ? undefined : draft.dialect,
    profile: draft.profile,
    expertInputScale: draft.expertInputScale === 'default' ? undefined : draft.expertInputScale,
    maxShardSizeBytes: shardBytes(draft.maxShardGigabytes) ?? DEFAULT_RUN_OPTIONS.maxShardSizeBytes,
    samples: amount(draft.samples),
    sequenceLength: amount(draft.sequenceLength),
    minTokensPerExpert: amount(draft.minTokensPerExpert),
    quality: draft.quality === 'auto' ? undefined : draft.quality,
    device: draft.device,
    workers: Number(draft.workers),
    memoryBytes: memoryBytesOf(draft),
  }
}

/** `<checkpoint>-<recipe>`, with what a folder name must not have replaced, cut to the contract's length. */
export function defaultOutputName(
  checkpointName: string,
  draft: Pick<RecipeDraft, 'recipe' | 'recipeGrant'>,
): string {
  const recipe = draft.recipeGrant?.name.replace(/\.ya?ml$/i, '') ?? draft.recipe
  const cleaned = `${checkpointName}-${recipe}`.replace(/[^A-Za-z0-9._+-]+/g, '_').slice(0, 200)
  return /^[A-Za-z0-9_]/.test(cleaned) ? cleaned : `_${cleaned.slice(1)}`
}

/** An empty field leaves the amount to recipe and defaults. */
function amount(value: string): number | undefined {
  return value.trim() === '' ? undefined : Number(value)
}

function amountProblem(value: string, minimum: number, maximum: number): string | undefined {
  return amount(value) === undefined ? undefined : wholeProblem(value, minimum, maximum)
}

/** Hidden states get their share of the limit. 0 stands for the machine's memory; taken literally it would send everything to disk. */
function memoryBytesOf({ memoryGibibytes }: RecipeDraft): number | undefined {
  const bytes = gibibytesOf(memoryGibibytes)
  return bytes === undefined || bytes === 0 ? undefined : Math.floor(bytes * STATE_MEMORY_SHARE)
}

function wholeProblem(value: string, minimum: number, maximum: number): string | undefined {
  const isWhole = /^\d{1,9}$/.test(value.trim())
  const number = Number(value)
  return isWhole && number >= minimum && number <= maximum
    ? undefined
    : text.recipe.problems.whole(minimum, maximum)
}

/** Accepts a decimal comma as well. */
function shardBytes(gigabytes: string): number | undefined {
  const normal = gigabytes.trim().replace(',', '.')
  if (!/^\d{1,6}(\.\d{1,9})?$/.test(normal)) return undefined
  const bytes = Math.round(Number(normal) * GIGABYTE)
  return bytes >= 1_000_000 && bytes <= Number.MAX_SAFE_INTEGER ? bytes : undefined
}
