import { planText } from '../../engine/pipeline/plan-text.ts'
import { summarisePlan } from '../../engine/pipeline/summarise-plan.ts'
import { prepareRun } from '../../host/jobs/prepare-run.ts'
import { freeDiskBytes } from '../../host/jobs/free-disk.ts'
import { calibrationSize } from '../../host/jobs/state-memory.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { readRunOptions, RUN_OPTION_HELP, RUN_OPTION_TABLE } from '../run-arguments.ts'

export const planCommand: Command = {
  name: 'plan',
  summary: 'what a run would write, need and take; reads headers only',
  help: `quantmill plan <checkpoint> --recipe R [options] [--json] [--tensors]

${RUN_OPTION_HELP}
  --tensors                  with --json: list every planned tensor with its place`,
  async run(argv, { print, files }) {
    const parsed = parseArguments('plan', argv, { ...RUN_OPTION_TABLE, tensors: { type: 'boolean' } }, [
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
    if (!parsed.flag('json')) print(planText(summary))
    else if (!parsed.flag('tensors')) print(JSON.stringify(summary))
    else {
      const tensors = plan.tensors.map(({ shardIndex, ...tensor }) => ({
        ...tensor,
        fileName: plan.shards[shardIndex]?.fileName,
      }))
      print(JSON.stringify({ ...summary, tensors }))
    }
    return 0
  },
}
