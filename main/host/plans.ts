/** What a run would write and cost on this machine, from headers alone. */
import type { PlanSummary } from '../../shared/domain/plan-summary.ts'
import type { RunOptions } from '../../shared/domain/run-options.ts'
import { planExport } from '../engine/pipeline/plan-export.ts'
import { summarisePlan } from '../engine/pipeline/summarise-plan.ts'
import { calibrationChoice } from '../engine/recipes/calibration-choice.ts'
import type { Recipe } from '../engine/recipes/recipe.ts'
import { freeDiskBytes } from './jobs/free-disk.ts'
import type { OpenedModel } from './jobs/prepare-run.ts'
import { calibrationSize } from './jobs/state-memory.ts'

/** `cpuCount` is what `workers: 0` means. Throws what planExport throws. */
export async function makePlan(
  { checkpoint, model }: OpenedModel,
  recipe: Recipe,
  run: RunOptions,
  machine: { readonly checkpointPath: string; readonly cpuCount: number },
): Promise<PlanSummary> {
  const plan = planExport({ ...run, checkpoint, model, recipe })
  const calibration = calibrationChoice(run, recipe)
  return summarisePlan(plan, model, {
    freeDiskBytes: await freeDiskBytes(machine.checkpointPath),
    workers: run.workers === 0 ? machine.cpuCount : run.workers,
    calibration,
    ...calibrationSize(run, calibration),
  })
}
