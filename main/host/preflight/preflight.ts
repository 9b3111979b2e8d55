/**
 * What stands in the way of a run, found before anything is created: every check is made, and everything that is wrong comes back at once, so
 * that nobody repairs one thing only to be told of the next.
 */
import type { PreflightProblem, PreflightReport } from '../../../shared/domain/preflight.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { summarisePlan } from '../../engine/pipeline/summarise-plan.ts'
import type { HostStartRequest } from '../host-api.ts'
import { refuseIfLocked } from '../jobs/folder-lock.ts'
import type { JobEnvironment } from '../jobs/job-observer.ts'
import { calibrationSize } from '../jobs/state-memory.ts'
import { checkOutput, checkWritable, type OutputFolder } from '../jobs/output-folder.ts'
import { qualityLevel } from '../jobs/measure-quality.ts'
import { needsStatistics, prepareRun, type PreparedRun } from '../jobs/prepare-run.ts'
import { checkDevice } from './check-device.ts'
import { calibrationDemand } from '../../engine/pipeline/calibration-demand.ts'
import { checkDisk } from './check-disk.ts'
import { checkMemory, machineMemory } from './check-memory.ts'
import { checkContinued, checkReadable } from './check-source.ts'

/** What a run may start with. Throws nothing by itself: whoever starts decides. */
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
    return { problems: [...asProblems('error', errors), ...asProblems('warning', warnings)] }
  } catch (thrown: unknown) {
    return { problems: asProblems('error', [AppError.from(thrown)]) }
  }
}

/** For a run that has been planned. Starts the device once when the run calibrates or measures quality. */
export async function findProblems(
  request: HostStartRequest,
  environment: JobEnvironment,
  prepared: PreparedRun,
): Promise<Findings> {
  const needsCalibration = needsStatistics(prepared)
  const needsDevice =
    needsCalibration || qualityLevel(request.options, needsCalibration, prepared.plan) !== 'off'
  const planned = fromPlan(request, environment, prepared)
  const errors = [
    ...(await failuresOf(() => checkDestination(request, environment, prepared))),
    ...(await checkReadable(prepared, request)),
    ...(await failuresOf(() =>
      checkDisk(request.outputPath, prepared.plan.outputBytes + calibrationDiskBytes(request, prepared)),
    )),
    ...planned.errors,
    ...(needsDevice
      ? await failuresOf(() => checkDevice(request.options.device, environment.deviceWorkerFile, prepared))
      : []),
  ]
  return { errors, warnings: planned.warnings }
}

/** Scratch file and layer boundaries, which lie in the partial folder until the calibration is over. */
function calibrationDiskBytes({ options }: HostStartRequest, prepared: PreparedRun): number {
  const { model, calibration } = prepared
  const size = calibrationSize(options, calibration)
  return calibrationDemand(model.text, size, needsStatistics(prepared)).diskBytes
}

async function checkDestination(
  request: HostStartRequest,
  { version }: JobEnvironment,
  prepared: PreparedRun,
): Promise<void> {
  const output = await outputOf(request)
  await refuseIfLocked(output.partialPath)
  await checkWritable(output)
  if (request.canResume === true) await checkContinued(output, request, prepared, version)
}

/** Throws OUTPUT_NOT_EMPTY, OUTPUT_INSIDE_SOURCE, SOURCE_INSIDE_OUTPUT. */
export function outputOf({
  outputPath,
  checkpointPath,
  canOverwrite = false,
  canResume = false,
}: HostStartRequest): Promise<OutputFolder> {
  return checkOutput(outputPath, checkpointPath, { canOverwrite, canResume })
}

function fromPlan(
  { options }: HostStartRequest,
  { cpuCount }: JobEnvironment,
  { plan, model, calibration }: PreparedRun,
): Findings {
  const summary = summarisePlan(plan, model, {
    workers: options.workers === 0 ? cpuCount : options.workers,
    calibration,
    ...calibrationSize(options, calibration),
  })
  const memory = checkMemory(summary.peakMemoryBytes, machineMemory())
  const refusals = summary.engines
    .filter(({ verdict }) => verdict === 'fails')
    .map(
      ({ engine, reason }) =>
        new AppError('ENGINE_REFUSES', {
          subject: engine,
          problem: `it will not load the export: ${reason}`,
          remedy: 'choose another recipe or dialect, or serve with another engine',
        }),
    )
  return {
    errors: memory?.severity === 'error' ? [memory.error] : [],
    warnings: [...(memory?.severity === 'warning' ? [memory.error] : []), ...refusals],
  }
}

async function failuresOf(check: () => Promise<unknown>): Promise<readonly AppError[]> {
  try {
    await check()
    return []
  } catch (error: unknown) {
    return [AppError.from(error)]
  }
}

function asProblems(
  severity: PreflightProblem['severity'],
  errors: readonly AppError[],
): readonly PreflightProblem[] {
  return errors.map(({ code, subject, problem, remedy }) => ({ severity, code, subject, problem, remedy }))
}
