import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { compareCheckpoints } from '../../engine/verify/compare/compare-checkpoints.ts'
import { compareText } from '../../engine/verify/compare/compare-text.ts'
import { requireFolder } from '../../host/jobs/prepare-run.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'

export const compareCommand: Command = {
  name: 'compare',
  summary:
    'two exports, or an export and its source, expert by expert: formats, errors, scales, configuration',
  help: `quantmill compare <left> <right> [--json]

  <left>, <right>   exports in either dialect, or checkpoints; every matrix of both is decoded and compared
  --json            one JSON object on standard output

Errors are relative to the unquantized side, or to the left one when both are exports. Differences are no failure: the exit code is 0
whenever both could be read.`,
  async run(argv, { print, isCancelled }) {
    const parsed = parseArguments('compare', argv, { json: { type: 'boolean' } }, ['left', 'right'])
    const paths = parsed.positionals.map(userPath)
    for (const path of paths) await requireFolder(path)
    const [left = '', right = ''] = paths
    const report = await compareCheckpoints(new NodeCheckpointFolder(left), new NodeCheckpointFolder(right), {
      isCancelled,
    })
    print(parsed.flag('json') ? JSON.stringify(report) : compareText(report))
    return 0
  },
}
