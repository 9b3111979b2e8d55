/** What a user chooses for a run, apart from where things are. Shared by window, browser and command line. */

export const KV_CACHE_FORMATS = ['none', 'fp8', 'fp8_cast', 'nvfp4', 'nvfp4_cast'] as const
export const DEVICES = ['auto', 'cpu', 'webgpu', 'cuda'] as const
export const DIALECTS = ['modelopt', 'compressed-tensors'] as const
export const PROFILES = ['hardened', 'identical'] as const
export const STATISTICS = ['lean', 'full'] as const
export const EXPERT_INPUT_SCALES = ['per_expert', 'shared'] as const

export type KvCacheChoice = (typeof KV_CACHE_FORMATS)[number]
export type DeviceChoice = (typeof DEVICES)[number]
export type DialectChoice = (typeof DIALECTS)[number]
export type ProfileChoice = (typeof PROFILES)[number]
export type StatisticsChoice = (typeof STATISTICS)[number]
/** `layers`: the error of every layer and expert; `full`: the next-token distributions as well. */
export const QUALITIES = ['off', 'layers', 'full'] as const
export type QualityChoice = (typeof QUALITIES)[number]
/** Measured at most: enough for perplexities to a few tenths of a percent, few enough for a CPU. One window is always measured. */
export const MAX_QUALITY_TOKENS = 8192

/** Of so many samples of so many tokens, how many quality is measured on: the first ones. */
export function measuredSamples(samples: number, sequenceLength: number): number {
  return Math.min(samples, Math.max(1, Math.floor(MAX_QUALITY_TOKENS / sequenceLength)))
}
export type ExpertInputScaleChoice = (typeof EXPERT_INPUT_SCALES)[number]

export interface RunOptions {
  /** Built-in name, or the text of a user's recipe file when `recipeText` is set. */
  readonly recipe: string
  readonly recipeText?: string | undefined
  /** Overrides the recipe's KV cache format. */
  readonly kv?: KvCacheChoice | undefined
  /** Overrides the recipe's dialect; modelopt when neither says one. */
  readonly dialect?: DialectChoice | undefined
  readonly profile: ProfileChoice
  /** Overrides the recipe and the profile's default. */
  readonly expertInputScale?: ExpertInputScaleChoice | undefined
  readonly maxShardSizeBytes: number
  /** Calibration sequences and their length in tokens; as the recipe says, else DEFAULT_CALIBRATION, when undefined. */
  readonly samples?: number | undefined
  readonly sequenceLength?: number | undefined
  /** `full` also keeps the maximum and mean magnitude of every input channel of every linear and expert. Absent = lean. */
  readonly statistics?: StatisticsChoice | undefined
  /** The export is run beside its source, as far as it is written. Default: full where the run calibrates, else off. */
  readonly quality?: QualityChoice | undefined
  /** Samples are added until every expert has this many tokens, as far as the candidates reach. Absent = natural coverage. */
  readonly minTokensPerExpert?: number | undefined
  /** Samples to choose from, those of `samples` included. Absent = four times `samples`. */
  readonly coverageBudget?: number | undefined
  readonly device: DeviceChoice
  /** Export worker threads; 0 = one per core. */
  readonly workers: number
  /** Memory for the hidden states of a calibration; what does not fit goes to a scratch file. A quarter of the machine's when undefined. */
  readonly memoryBytes?: number | undefined
}

/** Candidates for coverage by default, as a multiple of the samples. */
export const COVERAGE_BUDGET_FACTOR = 4

/** Sequences that a run takes from its data at most: candidates where coverage is asked for. */
export function candidateSamples({
  samples,
  minTokensPerExpert,
  coverageBudget = COVERAGE_BUDGET_FACTOR * samples,
}: Pick<RunOptions, 'minTokensPerExpert' | 'coverageBudget'> & { readonly samples: number }): number {
  return minTokensPerExpert === undefined ? samples : Math.max(samples, coverageBudget)
}

/** Of all memory a run may use, what hidden states get unless an option says otherwise; the rest is for weights, runs and workers. */
export const STATE_MEMORY_SHARE = 1 / 4

/** 10 GB, decimal: the default of transformers' save_pretrained. */
export const DEFAULT_MAX_SHARD_BYTES = 10_000_000_000

export const DEFAULT_CALIBRATION = { samples: 128, sequenceLength: 512 }

export const DEFAULT_RUN_OPTIONS: Omit<RunOptions, 'recipe'> = {
  profile: 'hardened',
  maxShardSizeBytes: DEFAULT_MAX_SHARD_BYTES,
  device: 'auto',
  workers: 0,
}
