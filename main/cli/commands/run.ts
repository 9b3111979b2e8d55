import type { HostStartRequest } from '../../host/host-api.ts'
import { parseArguments, required, usage } from '../arguments.ts'
import type { Command } from '../command.ts'
import { performRun, RUN_EXIT_CODES } from '../perform-run.ts'
import { readStartRequest, RUN_OPTION_HELP, RUN_REQUEST_HELP, RUN_REQUEST_TABLE } from '../run-arguments.ts'

export const runCommand: Command = {
  name: 'run',
  summary: 'calibrate, quantize and export a checkpoint',
  help: `quantmill run <checkpoint> --recipe R --out DIR [options]

${RUN_OPTION_HELP}
${RUN_REQUEST_HELP}
  --json                     one JSON object on standard output, progress as JSON lines on standard error

${RUN_EXIT_CODES}`,
  async run(argv, context) {
    const parsed = parseArguments('run', argv, RUN_REQUEST_TABLE, ['checkpoint'])
    required('run', 'out', parsed.text('out'))
    const request = await readStartRequest('run', parsed)
    checkCoverage(request)
    return performRun(request, parsed.flag('json'), context)
  },
}

function checkCoverage({ options, amaxPath }: Pick<HostStartRequest, 'options' | 'amaxPath'>): void {
  const { minTokensPerExpert, coverageBudget } = options
  if (coverageBudget !== undefined && minTokensPerExpert === undefined)
    throw usage('run', '--coverage-budget is of no use without --min-tokens-per-expert')
  if (amaxPath !== undefined && minTokensPerExpert !== undefined)
    throw usage('run', '--min-tokens-per-expert needs data, and --amax replaces it')
}
