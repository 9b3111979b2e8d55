/** The options that `plan` and `run` share, to RunOptions. */
import { readFile, stat } from 'node:fs/promises'
import { dirname, extname, resolve } from 'node:path'
import { fromFsError } from '../engine/io/node/fs-error.ts'
import { loadRecipe } from '../engine/recipes/load-recipe.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import {
  DEFAULT_RUN_OPTIONS,
  DEVICES,
  DIALECTS,
  EXPERT_INPUT_SCALES,
  KV_CACHE_FORMATS,
  MAX_QUALITY_TOKENS,
  PROFILES,
  QUALITIES,
  STATISTICS,
  type RunOptions,
} from '../../shared/domain/run-options.ts'
import type { HostStartRequest } from '../host/host-api.ts'
import {
  parseMemory,
  parseShardSize,
  required,
  userPath,
  type OptionTable,
  type ParsedArguments,
} from './arguments.ts'

export const RUN_OPTION_TABLE = {
  recipe: { type: 'string' },
  dialect: { type: 'string' },
  profile: { type: 'string' },
  kv: { type: 'string' },
  'expert-input-scale': { type: 'string' },
  'max-shard-size': { type: 'string' },
  samples: { type: 'string' },
  'seq-len': { type: 'string' },
  statistics: { type: 'string' },
  quality: { type: 'string' },
  'min-tokens-per-expert': { type: 'string' },
  'coverage-budget': { type: 'string' },
  device: { type: 'string' },
  workers: { type: 'string' },
  memory: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const satisfies OptionTable

export const MEMORY_HELP = `  --memory SIZE              for hidden states of a calibration, the rest goes to disk (default: a quarter of all)`

export const RUN_OPTION_HELP = `  --recipe R                 built-in recipe name, or a path to a recipe file (.yaml)
  --dialect D                modelopt | compressed-tensors (default: as the recipe says, else modelopt)
  --profile P                hardened (default) | identical
  --kv K                     none | fp8 | fp8_cast | nvfp4 | nvfp4_cast; overrides the recipe
  --expert-input-scale S     per_expert | shared; overrides recipe and profile
  --max-shard-size S         10GB (default), 500MB, 4MiB ...
  --samples N, --seq-len N   calibration sequences and their length (default: as the recipe says, else 128 x 512)
  --min-tokens-per-expert N  add samples until every expert has N tokens; reads the checkpoint once more
  --coverage-budget N        samples to choose from (default 4 x --samples)
  --quality Q                off | layers: error of every layer and expert | full: perplexity and divergence as well.
                             Measured in the same sweep on at most ${String(MAX_QUALITY_TOKENS)} tokens of the calibration data (default:
                             full for recipes that calibrate, else off)
  --statistics S             lean (default) | full: also every input channel's maximum and mean in the dump
  --device D                 auto (default) | cpu | webgpu | cuda
  --workers N                export threads (default: one per core)
${MEMORY_HELP}`

/** What `run` needs beyond that, and `plan` to look at a run before it starts. */
export const RUN_REQUEST_TABLE = {
  ...RUN_OPTION_TABLE,
  out: { type: 'string' },
  overwrite: { type: 'boolean' },
  resume: { type: 'boolean' },
  calib: { type: 'string' },
  amax: { type: 'string' },
} as const satisfies OptionTable

export const RUN_REQUEST_HELP = `  --out DIR                  output folder; must not exist or be empty
  --overwrite                replace an existing output when the new one is complete
  --resume                   continue an unfinished run of the same source, recipe, options and data
  --calib FILE|builtin       .txt, .jsonl (text or messages) or .safetensors (input_ids); default: as the recipe
                             says, else builtin
  --amax FILE                calibration dump instead of calibrating: calibration.safetensors or amax JSON`

/** Needs --out. */
export async function readStartRequest(command: string, parsed: ParsedArguments): Promise<HostStartRequest> {
  const options = await readRunOptions(command, parsed)
  return {
    checkpointPath: userPath(parsed.positionals[0] ?? ''),
    options,
    outputPath: userPath(required(command, 'out', parsed.text('out'))),
    calibrationPath: calibrationFile(parsed.text('calib'), options),
    amaxPath: parsed.path('amax'),
    canOverwrite: parsed.flag('overwrite'),
    canResume: parsed.flag('resume'),
  }
}

const RECIPE_FILE_LIMIT_BYTES = 1_000_000

export async function readRunOptions(command: string, parsed: ParsedArguments): Promise<RunOptions> {
  const recipe = required(command, 'recipe', parsed.text('recipe'))
  const shardSize = parsed.text('max-shard-size')
  return {
    ...DEFAULT_RUN_OPTIONS,
    ...(await readRecipe(recipe)),
    kv: parsed.choice('kv', KV_CACHE_FORMATS),
    dialect: parsed.choice('dialect', DIALECTS),
    profile: parsed.choice('profile', PROFILES) ?? DEFAULT_RUN_OPTIONS.profile,
    expertInputScale: parsed.choice('expert-input-scale', EXPERT_INPUT_SCALES),
    maxShardSizeBytes:
      shardSize === undefined ? DEFAULT_RUN_OPTIONS.maxShardSizeBytes : parseShardSize(shardSize),
    samples: parsed.wholeNumber('samples', 1),
    sequenceLength: parsed.wholeNumber('seq-len', 2),
    minTokensPerExpert: parsed.wholeNumber('min-tokens-per-expert', 1),
    coverageBudget: parsed.wholeNumber('coverage-budget', 1),
    statistics: parsed.choice('statistics', STATISTICS),
    quality: parsed.choice('quality', QUALITIES),
    device: parsed.choice('device', DEVICES) ?? DEFAULT_RUN_OPTIONS.device,
    workers: parsed.wholeNumber('workers', 1) ?? DEFAULT_RUN_OPTIONS.workers,
    memoryBytes: parseMemory(command, parsed.text('memory')),
  }
}

/**
 * The data file of a run: `--calib`, else the one that the recipe file names, relative to its folder. undefined = the built-in texts.
 * Throws what reading the recipe throws.
 */
export function calibrationFile(
  calib: string | undefined,
  { recipe, recipeText }: Pick<RunOptions, 'recipe' | 'recipeText'>,
): string | undefined {
  if (calib !== undefined) return calib === 'builtin' ? undefined : userPath(calib)
  const data = recipeText === undefined ? undefined : loadRecipe(recipe, recipeText).calibration.data
  return data === undefined || data === 'builtin' ? undefined : resolve(dirname(userPath(recipe)), data)
}

/** A name ending in .yaml or .yml is a file; everything else is a built-in name. */
async function readRecipe(recipe: string): Promise<Pick<RunOptions, 'recipe' | 'recipeText'>> {
  if (!['.yaml', '.yml'].includes(extname(recipe))) return { recipe }
  const path = userPath(recipe)
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isFile() !== true || stats.size > RECIPE_FILE_LIMIT_BYTES) {
    throw new AppError('RECIPE_UNKNOWN', {
      subject: recipe,
      problem: stats === undefined ? 'there is no such file' : 'this is not a recipe file of at most 1 MB',
      remedy: 'give a recipe file or a built-in name',
    })
  }
  try {
    return { recipe, recipeText: await readFile(path, 'utf8') }
  } catch (error: unknown) {
    throw fromFsError(error, recipe, 'read')
  }
}
