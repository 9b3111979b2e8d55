/** The engine host: answers HostApi calls, owns jobs. Runs in an Electron utility process or in a plain Node process; knows neither. */
import { randomUUID } from 'node:crypto'
import { basename } from 'node:path'
import type { JobId, RunReport } from '../../shared/domain/job.ts'
import { AppError } from '../../shared/errors/app-error.ts'
import { listTensors } from '../engine/checkpoint/list-tensors.ts'
import { summariseCheckpoint } from '../engine/checkpoint/summarise-checkpoint.ts'
import { describeScope } from '../engine/recipes/describe-scope.ts'
import { listRecipes, loadRecipe } from '../engine/recipes/load-recipe.ts'
import { checkRoutes } from './checks/check-routes.ts'
import { Checks } from './checks/checks.ts'
import { modelTarget } from '../engine/recipes/resolve-formats.ts'
import type { HostApi, HostEvents, HostStartRequest } from './host-api.ts'
import type { JobEnvironment } from './jobs/job-observer.ts'
import { JobQueue } from './jobs/job-queue.ts'
import { JobRecord } from './jobs/job-record.ts'
import { openModel, type OpenedModel } from './jobs/prepare-run.ts'
import { ControlledJob } from './jobs/controlled-job.ts'
import { listPartials, removePartialRun } from './jobs/partial-runs.ts'
import { preflight } from './preflight/preflight.ts'
import { runJob } from './jobs/run-job.ts'
import { makePlan } from './plans.ts'
import { probeDevices } from './pool/probe-devices.ts'

export interface EngineHostOptions {
  readonly environment: JobEnvironment
  readonly emit: <E extends keyof HostEvents>(event: E, payload: HostEvents[E]) => void
}

/** Opened checkpoints kept for paging and planning; headers of the largest models are tens of megabytes. */
const MAX_OPENED = 4

export function createEngineHost(options: EngineHostOptions): HostApi {
  const jobs = new Map<JobId, ControlledJob>()
  const queue = new JobQueue()
  const opened = new Map<string, OpenedModel>()
  const checks = new Checks((snapshot) => {
    options.emit('check.snapshot', snapshot)
  }, options.environment)

  const control =
    (action: 'pause' | 'continue' | 'cancel') =>
    ({ jobId }: { readonly jobId: JobId }): Promise<void> => {
      findJob(jobs, jobId)[action]()
      return Promise.resolve()
    }

  const reuse = async (checkpointPath: string): Promise<OpenedModel> => {
    const present = opened.get(checkpointPath)
    if (present !== undefined) return present
    const model = await openModel(checkpointPath)
    const oldest = opened.keys().next()
    if (opened.size >= MAX_OPENED && oldest.done !== true) opened.delete(oldest.value)
    opened.set(checkpointPath, model)
    return model
  }

  return {
    async 'checkpoint.open'({ checkpointPath }) {
      opened.delete(checkpointPath)
      const { checkpoint, model } = await reuse(checkpointPath)
      return summariseCheckpoint(checkpoint, model)
    },
    async 'checkpoint.list_tensors'({ checkpointPath, ...query }) {
      const { checkpoint, model } = await reuse(checkpointPath)
      return listTensors(checkpoint, model, query)
    },
    'recipe.list': () => Promise.resolve(listRecipes()),
    async 'plan.make'({ checkpointPath, options: run }) {
      const recipe = loadRecipe(run.recipe, run.recipeText)
      const { cpuCount } = options.environment
      return makePlan(await reuse(checkpointPath), recipe, run, { checkpointPath, cpuCount })
    },
    async 'plan.scope'({ checkpointPath, options: run }) {
      const recipe = loadRecipe(run.recipe, run.recipeText)
      const { model } = await reuse(checkpointPath)
      return describeScope(recipe, modelTarget(model))
    },
    'device.list': () => probeDevices(options.environment.deviceWorkerFile),
    'job.start': (request) => Promise.resolve({ jobId: startJob(request, options, jobs, queue) }),
    'job.preflight': (request) => preflight(request, options.environment),
    'job.pause': control('pause'),
    'job.continue': control('continue'),
    'job.cancel': control('cancel'),
    'job.get': ({ jobId }) => Promise.resolve(findJob(jobs, jobId).record.snapshot()),
    'job.list': () => Promise.resolve([...jobs.values()].map(({ record }) => record.snapshot())),
    'job.get_log': ({ jobId }) => Promise.resolve(findJob(jobs, jobId).record.logLines),
    'partial.list': ({ folders }) => listPartials(folders),
    'partial.remove': ({ partialPath }) => removePartialRun(partialPath),
    ...checkRoutes(checks),
    async 'host.shutdown'() {
      await checks.stop()
      for (const job of jobs.values()) job.cancel()
      await Promise.all([...jobs.values()].map(({ done }) => done))
    },
  }
}

function findJob(jobs: ReadonlyMap<JobId, ControlledJob>, jobId: JobId): ControlledJob {
  const job = jobs.get(jobId)
  if (job !== undefined) return job
  throw new AppError('JOB_UNKNOWN', {
    subject: jobId,
    problem: 'there is no such run',
    remedy: 'start a run',
  })
}

function startJob(
  request: HostStartRequest,
  { environment, emit }: EngineHostOptions,
  jobs: Map<JobId, ControlledJob>,
  queue: JobQueue,
): JobId {
  const jobId = `j_${randomUUID()}` as JobId
  const record = new JobRecord({
    jobId,
    checkpointName: basename(request.checkpointPath),
    recipe: request.options.recipe,
    publish: (snapshot) => {
      emit('job.snapshot', snapshot)
    },
    publishLog: (line) => {
      emit('job.log', line)
    },
  })
  const run = (isContinued: boolean): Promise<RunReport> =>
    runJob(isContinued ? { ...request, canResume: true } : request, environment, record)
  const job = new ControlledJob(record, run, queue.enter(record))
  jobs.set(jobId, job)
  void job.done.then(() => {
    queue.leave(record)
  })
  return jobId
}
