/**
 * One run from request to published export: prepare, preflight, sweep, seal, check. The partial folder is removed when the input of a new
 * run was wrong; whatever else ends a run leaves it to be continued, and nothing published.
 */
import { readFile } from 'node:fs/promises'
import type { RunReport } from '../../../shared/domain/job.ts'
import { formatBytes } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { amaxAt } from '../../engine/calibration/row-maxima-collector.ts'
import { EMPTY_STATS } from '../../engine/calibration/stats.ts'
import {
  resolveActivationScales,
  type ResolvedScales,
} from '../../engine/pipeline/resolve-activation-scales.ts'
import { smoothedAmaxes } from '../../engine/smoothing/channel-inputs.ts'
import type { HostStartRequest } from '../host-api.ts'
import { findProblems, outputOf } from '../preflight/preflight.ts'
import { WorkerPool } from '../pool/worker-pool.ts'
import { calibrateAndExport } from './calibrate-stage.ts'
import { checkPublished } from './check-export.ts'
import { cancelled, ExportSweep } from './export-sweep.ts'
import { JobClock } from './job-clock.ts'
import { keepLog, type LoggedObserver } from './job-log.ts'
import type { JobEnvironment, JobObserver } from './job-observer.ts'
import { writeReports } from '../report/report-files.ts'
import { makeExportReport } from './export-report.ts'
import { publish, removePartial, syncFolder, type OutputFolder } from './output-folder.ts'
import { needsStatistics, prepareRun, type PreparedRun } from './prepare-run.ts'
import { qualityLevel } from './measure-quality.ts'
import { makeReport } from './make-report.ts'
import { releaseGarbage } from '../../engine/io/node/release-garbage.ts'
import { runIdentity } from './run-identity.ts'
import type { CalibrationOutcome } from './run-parts.ts'
import { openWorkFolder, type WorkFolder } from './work-folder.ts'
import { searchSmoothing } from '../smoothing/search-smoothing.ts'
import { smoothingNotices } from '../smoothing/smoothing-notices.ts'
import { SourceFiles } from './source-files.ts'
import { sealExport, writeActivationScales } from './seal-export.ts'

/** Tasks handed to the pool ahead of the workers, per worker: enough to keep them busy, few enough to bound memory. */
const TASKS_AHEAD_PER_WORKER = 3
/** Messages to and from the workers are garbage that the collector sees no hurry with; see release-garbage.ts. */
const TASKS_BETWEEN_COLLECTIONS = 128

/** Runs a job to its report. Throws AppError; CANCELLED when the observer says so. */
export async function runJob(
  request: HostStartRequest,
  environment: JobEnvironment,
  outerObserver: JobObserver,
): Promise<RunReport> {
  const clock = new JobClock()
  const { observer, lines } = keepLog(outerObserver)
  observer.stageStarted('plan', 1, 'steps')
  const prepared = await prepareRun(request.checkpointPath, request.options, request.amaxPath)
  observer.setModel(prepared.model.text.layerCount, prepared.model.text.expertCount)
  const { errors, warnings } = await findProblems(request, environment, prepared)
  if (errors.length > 0) throw AppError.all(errors)
  for (const { subject, problem } of warnings) observer.log('warn', `${subject}: ${problem}`)
  const output = await outputOf(request)
  for (const problem of prepared.model.problems)
    observer.log('warn', `${problem.subject}: ${problem.message}`)
  const { data } = prepared.recipe.calibration
  if (data !== undefined && data !== 'builtin' && request.calibrationPath === undefined)
    observer.log('warn', `the recipe names the data file ${data}, but the built-in texts were chosen`)
  const { tensors, outputBytes } = prepared.plan
  observer.log('info', `plan: ${String(tensors.length)} tensors, ${formatBytes(outputBytes, 'en')}`)
  releaseGarbage()
  observer.stageDone('plan')
  clock.mark('plan')
  return writeExport({ request, environment, observer, lines, prepared, output, clock })
}

interface Writing {
  readonly request: HostStartRequest
  readonly environment: JobEnvironment
  readonly observer: JobObserver
  readonly lines: LoggedObserver['lines']
  readonly prepared: PreparedRun
  readonly output: OutputFolder
  readonly clock: JobClock
}

async function writeExport(writing: Writing): Promise<RunReport> {
  const { request, environment, observer, prepared, output } = writing
  const identity = await runIdentity(request, prepared, environment.version)
  const kernels = await readFile(environment.kernelsFile)
  const work = await openWorkFolder(output, prepared.plan, identity, request)
  if (work.finished.size > 0) {
    const of = `${String(work.finished.size)} of ${String(prepared.plan.tasks.length)} tasks`
    observer.log('info', `continuing: ${of} were finished before`)
  }
  try {
    return await fillFolder(writing, work, kernels)
  } catch (thrown: unknown) {
    const error = AppError.from(thrown)
    // What wrong input left behind is worth nothing; what an earlier run, a full disk or a cancel left behind can be continued.
    const isWrongInput = ['input', 'data', 'unsupported'].includes(error.kind)
    if (isWrongInput && request.canResume !== true) await removePartial(output)
    throw error
  }
}

async function fillFolder(writing: Writing, work: WorkFolder, kernels: Uint8Array): Promise<RunReport> {
  const { request, environment, observer, lines, prepared, output, clock } = writing
  const { plan, checkpoint, folder } = prepared
  const workerCount = request.options.workers === 0 ? environment.cpuCount : request.options.workers
  const pool = new WorkerPool({ workerCount, workerFile: environment.exportWorkerFile, kernels })
  const stopIfAsked = (): void => {
    if (observer.isCancelled()) throw cancelled()
  }
  let sources: SourceFiles | undefined
  try {
    sources = await SourceFiles.open(checkpoint.shards, (name) => folder.pathOf(name), plan.tasks)
    const sweep = makeSweep(prepared, pool, sources, work, workerCount, observer)
    const calibrated = await runSweep(writing, { sweep, pool, workerCount }, sources.descriptors, work)
    await work.journal.commit()
    await sources.checkAll()
    await pool.close() // its memory goes back before scales and texts are made
    releaseGarbage()
    const { scales, findings } = resolve(prepared, calibrated)
    writeActivationScales(scales, work.shards, sweep.hashes)
    observer.stageDone('export')
    clock.mark('export')
    releaseGarbage()
    observer.stageStarted('seal', 1, 'steps')
    const parts = {
      request,
      environment,
      prepared,
      sweep,
      scaleFindings: findings,
      calibrated,
      workerCount,
      lines,
    }
    await sealExport(parts, work.shards, output.partialPath, stopIfAsked)
    observer.stageDone('seal')
    clock.mark('seal')
    observer.stageStarted('verify', 1, 'steps')
    await checkPublished(output.partialPath, plan)
    await writeReports(output.partialPath, await makeExportReport(parts, output))
    stopIfAsked()
    // Before the journal goes: from there to the new name a kill would cost the whole run.
    await syncFolder(output.partialPath)
    const restore = await work.finish()
    const warnings = await publish(output).catch(async (error: unknown) => {
      await restore()
      throw error
    })
    for (const warning of warnings) observer.log('warn', warning)
    observer.stageDone('verify')
    clock.mark('verify')
    return await makeReport(parts, output.finalPath, clock)
  } catch (error: unknown) {
    await pool.close() // first, so that nothing more has to reach the disk before this ends
    await work.journal.commit().catch(() => undefined) // best effort: the run has failed already, this only saves work
    throw error
  } finally {
    await pool.close()
    await sources?.close()
    await work.close()
  }
}

function makeSweep(
  prepared: PreparedRun,
  pool: WorkerPool,
  sources: SourceFiles,
  work: WorkFolder,
  workerCount: number,
  observer: JobObserver,
): ExportSweep {
  let doneBytes = 0
  let doneTasks = 0
  observer.stageStarted('export', prepared.plan.sourceBytes, 'bytes')
  return new ExportSweep({
    plan: prepared.plan,
    pool,
    sourceDescriptors: sources.descriptors,
    outputDescriptors: work.shards.map((handle) => handle.fd),
    finished: work.finished,
    maxInFlight: workerCount * TASKS_AHEAD_PER_WORKER,
    isCancelled: () => observer.isCancelled(),
    onTaskDone: (task, sourceBytes, result) => {
      doneBytes += sourceBytes
      doneTasks += 1
      if (doneTasks % TASKS_BETWEEN_COLLECTIONS === 0) releaseGarbage()
      if (result !== undefined) work.journal.record({ task: task.taskIndex, result })
      sources.taskDone(task)
      observer.layerActive(task.layerIndex)
      observer.stageProgress('export', doneBytes, result === undefined)
    },
  })
}

interface Exporting {
  readonly sweep: ExportSweep
  readonly pool: WorkerPool
  readonly workerCount: number
}

async function runSweep(
  { request, environment, observer, prepared, output, clock }: Writing,
  { sweep, pool, workerCount }: Exporting,
  descriptors: readonly number[],
  work: WorkFolder,
): Promise<CalibrationOutcome> {
  const { plan } = prepared
  const finish = async (outcome: CalibrationOutcome): Promise<CalibrationOutcome> => {
    const smoothing =
      plan.smoothing &&
      (await searchSmoothing({
        plan,
        smoothing: plan.smoothing,
        stats: outcome.stats,
        pool,
        maxInFlight: workerCount * TASKS_AHEAD_PER_WORKER,
        descriptors,
        folder: work.ownPath,
        hasWritten: sweep.hasWrittenFolded,
        observer,
      }))
    sweep.vectors = smoothing?.vectors
    await sweep.runRemaining()
    if (plan.smoothing === undefined || smoothing === undefined) return outcome
    const notices = smoothingNotices(plan.smoothing, smoothing)
    for (const notice of notices) observer.log('info', notice)
    return { ...outcome, smoothing, notices: [...outcome.notices, ...notices] }
  }
  const needsCalibration = needsStatistics(prepared)
  if (needsCalibration || qualityLevel(request.options, needsCalibration, plan) !== 'off') {
    const outcome = await calibrateAndExport(
      request,
      environment,
      observer,
      prepared,
      sweep,
      descriptors,
      work,
      output.partialPath,
    )
    clock.mark('calibrate')
    return finish(outcome)
  }
  observer.stageSkipped('calibrate')
  return finish({
    stats: prepared.givenStats ?? EMPTY_STATS,
    device: 'none',
    bytesRead: 0,
    spilledBytes: 0,
    notices: [],
  })
}

function resolve({ plan }: PreparedRun, { stats, smoothing }: CalibrationOutcome): ResolvedScales {
  const { activationScales, percentile, profile } = plan
  const amax = smoothing === undefined ? amaxAt(stats, percentile) : smoothedAmaxes(stats, smoothing.vectors)
  return resolveActivationScales(activationScales, { ...stats, amax }, profile)
}
