/** Runs: every path of a request comes from a grant with the right purpose. */
import type { RouteInput } from '../../../shared/contract/schemas.ts'
import type { JobId } from '../../../shared/domain/job.ts'
import type { HostStartRequest } from '../../host/host-api.ts'
import type { HandlerTable } from '../handler-table.ts'
import type { OutputPaths } from '../output-paths.ts'
import { outputPathOf } from '../output-path.ts'
import { runOptionsOf } from '../run-options.ts'
import type { Surface } from '../surface.ts'
import { withoutStack } from '../without-stack.ts'

type JobRoutes =
  | 'job.start'
  | 'job.preflight'
  | 'job.pause'
  | 'job.continue'
  | 'job.cancel'
  | 'job.get'
  | 'job.list'
  | 'job.get_log'

export function jobHandlers(surface: Surface, outputs: OutputPaths): Pick<HandlerTable, JobRoutes> {
  const { host } = surface
  return {
    'job.start': async (input) => {
      const request = await requestOf(surface, input)
      const started = await host['job.start'](request)
      outputs.set(started.jobId, request)
      return started
    },
    'job.preflight': async (input) => host['job.preflight'](await requestOf(surface, input)),
    'job.pause': async ({ jobId }) => {
      await host['job.pause']({ jobId: brand(jobId) })
      return undefined
    },
    'job.continue': async ({ jobId }) => {
      await host['job.continue']({ jobId: brand(jobId) })
      return undefined
    },
    'job.cancel': async ({ jobId }) => {
      await host['job.cancel']({ jobId: brand(jobId) })
      return undefined
    },
    'job.get': async ({ jobId }) => withoutStack(await host['job.get']({ jobId: brand(jobId) })),
    'job.list': async () => (await host['job.list']({})).map(withoutStack),
    'job.get_log': ({ jobId }) => host['job.get_log']({ jobId: brand(jobId) }),
  }
}

async function requestOf(surface: Surface, input: RouteInput<'job.start'>): Promise<HostStartRequest> {
  const { grants } = surface
  const checkpointPath = await grants.resolve(input.grantId, 'checkpoint')
  const outputPath = await outputPathOf({
    checkpointPath,
    grantedFolder: await resolveOptional(surface, input.outputGrantId, 'output'),
    outputName: input.outputName,
    sampleFolder: surface.sampleFolder,
    exportsFolder: surface.exportsFolder,
  })
  return {
    checkpointPath,
    outputPath,
    options: await runOptionsOf(input.options, grants),
    calibrationPath: await resolveOptional(surface, input.calibrationGrantId, 'calibration'),
    canResume: input.mode === 'resume',
    canOverwrite: input.mode === 'overwrite',
  }
}

async function resolveOptional(
  { grants }: Surface,
  grantId: string | undefined,
  purpose: 'output' | 'calibration',
): Promise<string | undefined> {
  return grantId === undefined ? undefined : grants.resolve(grantId, purpose)
}

function brand(jobId: string): JobId {
  return jobId as JobId
}
