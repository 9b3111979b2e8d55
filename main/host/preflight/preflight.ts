/**
 * What stands in the way of a run, found before anything is created: every check is made, and everything that is wrong comes back at once, so
 * that nobody repairs one thing only to be told of the next.
 */
import type { PreflightProblem, PreflightReport } from '../../../shared/domain/preflight.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HostStartRequest } from '../host-api.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import { calibrationSize } from '../jobs/state-memory.ts'
import { checkOutput } from '../jobs/output-folder.ts'
import { prepareRun, type PreparedRun } from '../jobs/prepare-run.ts'
import { calibrationDemand } from '../../engine/pipeline/calibration-demand.ts'
import { checkDisk } from './check-disk.ts'

export interface Findings {
  /** Each of them would end the run. */
  readonly errors: readonly AppError[]
  readonly warnings: readonly AppError[]
}

/** For whoever asks before a start. Never rejects: what cannot even be planned is a problem like the others. */
export async function preflight(
  request: HostStartRequest,
  environment: JobEnvironment,
): Promise<PreflightReport> {
  try {
    const prepared = await prepareRun(request.checkpointPath, request.options, request.amaxPath)
    const { errors, warnings } = await findProblems(request, environment, prepared)
    return {
      problems: [
        ...errors.map((error) => asProblem('error', error)),
        ...warnings.map((error) => asProblem('warning', error)),
      ],
    }
  } catch (thrown: unknown) {
    return { problems: [asProblem('error', AppError.from(thrown))] }
  }
}

/** For a run that has been planned. */
export async function findProblems(
  request: HostStartRequest,
  _environment: JobEnvironment,
  prepared: PreparedRun,
): Promise<Findings> {
  const errors = await failuresOf([
    () =>
      checkOutput(request.outputPath, request.checkpointPath, {
        canOverwrite: request.canOverwrite === true,
        canResume: request.canResume === true,
      }),
    () => checkDisk(request.outputPath, prepared.plan.outputBytes + calibrationDiskBytes(request, prepared)),
  ])
  return { errors, warnings: [] }
}

/** Scratch file and layer boundaries, which lie in the partial folder until the calibration is over. */
function calibrationDiskBytes(
  { options }: HostStartRequest,
  { plan, model, givenStats, calibration }: PreparedRun,
): number {
  if (plan.calibrationSites.length === 0 || givenStats !== undefined) return 0
  return calibrationDemand(model.text, calibrationSize(options, calibration)).diskBytes
}

async function failuresOf(checks: readonly (() => Promise<unknown>)[]): Promise<readonly AppError[]> {
  const results = await Promise.allSettled(checks.map((check) => check()))
  return results.flatMap((result) => (result.status === 'rejected' ? [AppError.from(result.reason)] : []))
}

function asProblem(severity: PreflightProblem['severity'], error: AppError): PreflightProblem {
  const { code, subject, problem, remedy } = error
  return { severity, code, subject, problem, remedy }
}
