/**
 * Unfinished runs. What such a folder says about itself is data and no permission: a checkpoint or data file that it names is used only when the
 * user has granted that very path.
 */
import { randomBytes } from 'node:crypto'
import { dirname, basename } from 'node:path'
import type { GrantId } from '../../../shared/domain/app-info.ts'
import type { PartialId, PartialRun } from '../../../shared/domain/partial-run.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HostPartial, RecordedRun } from '../../host/host-api.ts'
import type { HandlerTable } from '../handler-table.ts'
import type { OutputPaths } from '../output-paths.ts'
import type { Surface } from '../surface.ts'

type PartialRoutes = 'job.partials' | 'job.resume_partial' | 'job.remove_partial'

export function partialHandlers(surface: Surface, outputs: OutputPaths): Pick<HandlerTable, PartialRoutes> {
  const { grants, host } = surface
  const idOf = new Map<string, PartialId>()
  const listed = new Map<string, HostPartial>()

  const find = (partialId: string): HostPartial => {
    const partial = listed.get(partialId)
    if (partial !== undefined) return partial
    const problem = 'there is no such unfinished run'
    throw new AppError('PARTIAL_UNKNOWN', { subject: partialId, problem, remedy: 'list them again' })
  }

  return {
    'job.partials': async ({ outputGrantId }) => {
      const folders =
        outputGrantId === undefined
          ? knownFolders(surface, outputs)
          : [await grants.resolve(outputGrantId, 'output')]
      listed.clear()
      return (await host['partial.list']({ folders })).map((partial) => {
        const partialId =
          idOf.get(partial.partialPath) ?? (`p_${randomBytes(18).toString('base64url')}` as PartialId)
        idOf.set(partial.partialPath, partialId)
        listed.set(partialId, partial)
        return toPartialRun(partialId, partial, surface)
      })
    },
    'job.resume_partial': async ({ partialId, grantId, calibrationGrantId }) => {
      const partial = find(partialId)
      const { recorded } = partial
      if (recorded === undefined) throw unrecorded(grants.display(partial.partialPath))
      if (recorded.amaxPath !== undefined) throw commandLineOnly(grants.display(partial.partialPath))
      const { calibrationPath } = recorded
      const request = {
        checkpointPath: await granted(surface, 'checkpoint', grantId, recorded.checkpointPath),
        outputPath: partial.outputPath,
        options: recorded.options,
        calibrationPath:
          calibrationPath === undefined
            ? undefined
            : await granted(surface, 'calibration', calibrationGrantId, calibrationPath),
        canResume: true,
        canOverwrite: false,
      }
      const started = await host['job.start'](request)
      outputs.set(started.jobId, request)
      return started
    },
    'job.remove_partial': async ({ partialId }) => {
      await host['partial.remove']({ partialPath: find(partialId).partialPath })
      listed.delete(partialId)
      return undefined
    },
  }
}

/** Where exports of this session go or went: the folder for exports, granted ones, beside granted checkpoints, and those of its runs. */
function knownFolders({ grants, exportsFolder }: Surface, outputs: OutputPaths): readonly string[] {
  return [
    exportsFolder,
    ...grants.pathsFor('output'),
    ...grants.pathsFor('checkpoint').map((path) => dirname(path)),
    ...outputs.folders(),
  ]
}

function toPartialRun(partialId: PartialId, partial: HostPartial, { grants }: Surface): PartialRun {
  const { state, problem, sizeBytes, doneTasks, modifiedMs, recorded, partialPath, outputPath } = partial
  const checkpointGrantId = grantOf(grants, recorded, 'checkpoint')
  const needs = (['checkpoint', 'calibration'] as const).flatMap((purpose) => {
    const path = recordedPath(recorded, purpose)
    if (path === undefined || grants.find(path, purpose) !== undefined) return []
    return [{ purpose, displayPath: grants.display(path) }]
  })
  return {
    ...{ partialId, state, problem, sizeBytes, doneTasks, modifiedMs, checkpointGrantId, needs },
    name: basename(outputPath),
    displayPath: grants.display(partialPath),
    recipe: recorded?.options.recipe,
    checkpointName: recorded === undefined ? undefined : basename(recorded.checkpointPath),
    totalTasks: recorded?.taskCount,
  }
}

function recordedPath(
  recorded: RecordedRun | undefined,
  purpose: 'checkpoint' | 'calibration',
): string | undefined {
  return purpose === 'checkpoint' ? recorded?.checkpointPath : recorded?.calibrationPath
}

function grantOf(
  grants: Surface['grants'],
  recorded: RecordedRun | undefined,
  purpose: 'checkpoint' | 'calibration',
): GrantId | undefined {
  const path = recordedPath(recorded, purpose)
  return path === undefined ? undefined : grants.find(path, purpose)
}

/** Path of the given grant, else the recorded path where it was granted already. Throws GRANT_UNKNOWN naming what has to be chosen. */
async function granted(
  { grants }: Surface,
  purpose: 'checkpoint' | 'calibration',
  grantId: string | undefined,
  recordedAs: string,
): Promise<string> {
  const known = grantId ?? grants.find(recordedAs, purpose)
  if (known !== undefined) return grants.resolve(known, purpose)
  throw new AppError('GRANT_UNKNOWN', {
    subject: grants.display(recordedAs),
    problem: `the unfinished run reads this ${purpose === 'checkpoint' ? 'checkpoint' : 'data file'}, which was not chosen in this session`,
    remedy: 'choose it, then continue the run',
  })
}

function unrecorded(subject: string): AppError {
  const problem = 'it does not say with which options it was started'
  return new AppError('JOURNAL_INVALID', {
    subject,
    problem,
    remedy: 'start the same run again and continue it',
  })
}

function commandLineOnly(subject: string): AppError {
  const problem = 'it uses a given calibration dump, which only the command line can'
  const remedy = 'continue it with quantmill run --resume --amax'
  return new AppError('REQUEST_INVALID', { subject, problem, remedy })
}
