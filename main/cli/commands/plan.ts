import type { PreflightReport } from '../../../shared/domain/preflight.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import { ERROR_KINDS, EXIT_CODES } from '../../../shared/errors/codes.ts'
import { planText } from '../../engine/pipeline/plan-text.ts'
import { summarisePlan } from '../../engine/pipeline/summarise-plan.ts'
import { prepareRun } from '../../host/jobs/prepare-run.ts'
import { preflight } from '../../host/preflight/preflight.ts'
import { freeDiskBytes } from '../../host/jobs/free-disk.ts'
import { calibrationSize } from '../../host/jobs/state-memory.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import {
  readRunOptions,
  readStartRequest,
  RUN_OPTION_HELP,
  RUN_REQUEST_HELP,
  RUN_REQUEST_TABLE,
} from '../run-arguments.ts'

export const planCommand: Command = {
  name: 'plan',
  summary: 'what a run would write, need and take; reads headers only',
  help: `quantmill plan <checkpoint> --recipe R [options] [--out DIR] [--json] [--tensors]

${RUN_OPTION_HELP}
${RUN_REQUEST_HELP}
  With --out, everything that would stand in the way of this run is looked for as well: disk, rights, memory, changed files, and one expert
  computed on the device. Exit code 2 or 3 if the run would be refused.
  --tensors                  with --json: list every planned tensor with its place`,
  async run(argv, { print, files }) {
    const parsed = parseArguments('plan', argv, { ...RUN_REQUEST_TABLE, tensors: { type: 'boolean' } }, [
      'checkpoint',
    ])
    const path = userPath(parsed.positionals[0] ?? '')
    const options = await readRunOptions('plan', parsed)
    const { plan, model, calibration } = await prepareRun(path, options, undefined)
    const workers = options.workers === 0 ? files.cpuCount : options.workers
    const summary = summarisePlan(plan, model, {
      freeDiskBytes: await freeDiskBytes(path),
      workers,
      calibration,
      ...calibrationSize(options, calibration),
    })
    const request = parsed.text('out') === undefined ? undefined : await readStartRequest('plan', parsed)
    const found = request === undefined ? undefined : await preflight(request, files)
    if (!parsed.flag('json')) print([planText(summary), ...problemLines(found)].join('\n'))
    else if (!parsed.flag('tensors')) print(JSON.stringify({ ...summary, ...found }))
    else {
      const tensors = plan.tensors.map(({ shardIndex, ...tensor }) => ({
        ...tensor,
        fileName: plan.shards[shardIndex]?.fileName,
      }))
      print(JSON.stringify({ ...summary, ...found, tensors }))
    }
    return exitCodeOf(found)
  },
}

function problemLines(found: PreflightReport | undefined): readonly string[] {
  if (found === undefined) return []
  if (found.problems.length === 0) return ['', 'nothing stands in the way of this run']
  const lines = found.problems.map(({ severity, ...problem }) => {
    return `  ${severity.padEnd(7)}  ${new AppError(problem.code, problem).toLine()}`
  })
  return ['', 'before this run:', ...lines]
}

/** Of the first error, as the run itself would end. */
function exitCodeOf(found: PreflightReport | undefined): number {
  const first = found?.problems.find(({ severity }) => severity === 'error')
  return first === undefined ? 0 : EXIT_CODES[ERROR_KINDS[first.code]]
}
