/** Verifying, comparing, looking at a tensor, and reports: only of what was granted or written by a run of this session. */
import type { RouteInput } from '../../../shared/contract/schemas.ts'
import type { CheckId } from '../../../shared/domain/check.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HostCheckRequest } from '../../host/host-api.ts'
import type { HandlerTable } from '../handler-table.ts'
import type { OutputPaths } from '../output-paths.ts'
import type { Surface } from '../surface.ts'
import { withoutStack } from '../without-stack.ts'

type CheckRoutes =
  | 'check.start'
  | 'check.cancel'
  | 'check.get'
  | 'check.result'
  | 'report.get'
  | 'report.get_page'
  | 'report.reveal'
  | 'job.grant_output'

export function checkHandlers(
  { grants, host, revealFolder }: Pick<Surface, 'grants' | 'host' | 'revealFolder'>,
  outputs: OutputPaths,
): Pick<HandlerTable, CheckRoutes> {
  const outputOf = (jobId: string): string => known(jobId, outputs.pathOf(jobId))
  const granted = (grantId: string): Promise<string> => grants.resolve(grantId, 'checkpoint')
  const exportPath = async (input: RouteInput<'report.get'>): Promise<string> =>
    'jobId' in input ? outputOf(input.jobId) : granted(input.grantId)

  async function requestOf(input: RouteInput<'check.start'>): Promise<HostCheckRequest> {
    switch (input.kind) {
      case 'verify_run':
        return {
          kind: 'verify',
          exportPath: outputOf(input.jobId),
          sourcePath: outputs.sourceOf(input.jobId),
          shouldRecord: true,
        }
      case 'verify': {
        const { sourceGrantId } = input
        return {
          kind: 'verify',
          exportPath: await granted(input.grantId),
          sourcePath: sourceGrantId === undefined ? undefined : await granted(sourceGrantId),
          shouldRecord: false,
        }
      }
      case 'compare':
        return {
          kind: 'compare',
          leftPath: await granted(input.leftGrantId),
          rightPath: await granted(input.rightGrantId),
        }
      case 'inspect':
        return { kind: 'inspect', checkpointPath: await granted(input.grantId), tensor: input.tensor }
    }
  }

  return {
    'check.start': async (input) => host['check.start'](await requestOf(input)),
    'check.cancel': async ({ checkId }) => {
      await host['check.cancel']({ checkId: checkId as CheckId })
      return undefined
    },
    'check.get': async ({ checkId }) =>
      withoutStack(await host['check.get']({ checkId: checkId as CheckId })),
    'check.result': async ({ checkId }) => {
      const result = await host['check.result']({ checkId: checkId as CheckId })
      if (result.kind !== 'compare') return result
      const { report } = result
      const side = (of: typeof report.left): typeof report.left => ({
        ...of,
        displayPath: grants.display(of.displayPath),
      })
      return { kind: 'compare', report: { ...report, left: side(report.left), right: side(report.right) } }
    },
    'report.get': async (input) => host['report.get']({ exportPath: await exportPath(input) }),
    'report.get_page': async (input) => host['report.get_page']({ exportPath: await exportPath(input) }),
    'report.reveal': async (input) => {
      const path = await exportPath(input)
      if (revealFolder === undefined) throw noFileManager(grants.display(path))
      revealFolder(path)
      return undefined
    },
    'job.grant_output': ({ jobId }) => grants.grant(outputOf(jobId), 'checkpoint'),
  }
}

function known(jobId: string, path: string | undefined): string {
  if (path !== undefined) return path
  throw new AppError('JOB_UNKNOWN', {
    subject: jobId,
    problem: 'there is no such run',
    remedy: 'start a run',
  })
}

function noFileManager(subject: string): AppError {
  const problem = 'a browser cannot show folders'
  return new AppError('REQUEST_INVALID', { subject, problem, remedy: 'open it yourself' })
}
