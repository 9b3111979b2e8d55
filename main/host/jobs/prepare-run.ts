/** From a request to a plan: opens the checkpoint, recognises the model, loads the recipe, plans. Reads headers only. */
import { readFile, stat } from 'node:fs/promises'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { RunOptions } from '../../../shared/domain/run-options.ts'
import { parseAmaxDump } from '../../engine/calibration/amax-dump.ts'
import { amaxAt } from '../../engine/calibration/row-maxima-collector.ts'
import type { CalibrationStats } from '../../engine/calibration/stats.ts'
import type { Checkpoint } from '../../engine/checkpoint/checkpoint.ts'
import { openCheckpoint } from '../../engine/checkpoint/open-checkpoint.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { fromNamedFileError } from '../../engine/io/node/fs-error.ts'
import type { MoeModel } from '../../engine/models/moe-model.ts'
import { recogniseModel } from '../../engine/models/recognise-model.ts'
import type { ExportPlan } from '../../engine/pipeline/export-plan.ts'
import { planExport } from '../../engine/pipeline/plan-export.ts'
import { calibrationChoice, type CalibrationChoice } from '../../engine/recipes/calibration-choice.ts'
import { loadRecipe } from '../../engine/recipes/load-recipe.ts'
import type { Recipe } from '../../engine/recipes/recipe.ts'

/** Of a calibration dump, read or written. */
export const AMAX_LIMIT_BYTES = 512 * 1024 * 1024

export interface OpenedModel {
  readonly folder: NodeCheckpointFolder
  readonly checkpoint: Checkpoint
  readonly model: MoeModel
}

export interface PreparedRun extends OpenedModel {
  readonly recipe: Recipe
  readonly calibration: CalibrationChoice
  readonly plan: ExportPlan
  /** From `--amax`; undefined when the run has to calibrate or needs no data. */
  readonly givenStats: CalibrationStats | undefined
}

/** Whether scales are to be made from data that has to be run through the model. */
export function needsStatistics({ plan, givenStats }: Pick<PreparedRun, 'plan' | 'givenStats'>): boolean {
  return plan.calibrationSites.length > 0 && givenStats === undefined
}

/** Opens and recognises. Throws CHECKPOINT_NOT_FOUND and every `data` and `unsupported` error of reader and adapter. */
export async function openModel(checkpointPath: string): Promise<OpenedModel> {
  await requireFolder(checkpointPath)
  const folder = new NodeCheckpointFolder(checkpointPath)
  const checkpoint = await openCheckpoint(folder)
  return { folder, checkpoint, model: recogniseModel(checkpoint) }
}

/** Throws CHECKPOINT_NOT_FOUND. */
export async function requireFolder(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory() === true) return
  throw new AppError('CHECKPOINT_NOT_FOUND', {
    subject: path,
    problem: stats === undefined ? 'there is no such folder' : 'this is not a folder',
    remedy: 'give the folder that holds config.json and the .safetensors files',
  })
}

export async function prepareRun(
  checkpointPath: string,
  options: RunOptions,
  amaxPath: string | undefined,
): Promise<PreparedRun> {
  const recipe = loadRecipe(options.recipe, options.recipeText)
  const opened = await openModel(checkpointPath)
  const givenStats = amaxPath === undefined ? undefined : await readAmax(amaxPath)
  const plan = planExport({
    checkpoint: opened.checkpoint,
    model: opened.model,
    recipe,
    profile: options.profile,
    dialect: options.dialect,
    kv: options.kv,
    expertInputScale: options.expertInputScale,
    maxShardSizeBytes: options.maxShardSizeBytes,
    availableSites:
      givenStats === undefined ? undefined : availableSites(givenStats, recipe.percentile, amaxPath ?? ''),
  })
  return { ...opened, recipe, calibration: calibrationChoice(options, recipe), plan, givenStats }
}

/** Throws AMAX_MISSING when the dump lacks the percentile as a whole: leaving every scale out is what nobody asks for. */
function availableSites(
  stats: CalibrationStats,
  percentile: number | undefined,
  amaxPath: string,
): ReadonlySet<string> {
  const sites = new Set(amaxAt(stats, percentile).keys())
  if (percentile === undefined || sites.size > 0) return sites
  throw new AppError('AMAX_MISSING', {
    subject: amaxPath,
    problem: `the dump has no ${String(percentile)} percentile, which the recipe asks for`,
    remedy: 'calibrate with this recipe, or leave percentile out of it',
  })
}

async function readAmax(path: string): Promise<CalibrationStats> {
  try {
    const { size } = await stat(path)
    if (size > AMAX_LIMIT_BYTES) {
      throw new AppError('FILE_TOO_LARGE', {
        subject: path,
        problem: `${String(size)} bytes is more than a calibration dump can have (${String(AMAX_LIMIT_BYTES)})`,
        remedy: 'give a calibration.safetensors or an amax JSON file',
      })
    }
    const bytes = await readFile(path)
    return parseAmaxDump(path, bytes)
  } catch (error: unknown) {
    throw fromNamedFileError(
      error,
      path,
      'AMAX_INVALID',
      'give an existing calibration.safetensors or amax JSON file',
    )
  }
}
