import { basename, dirname } from 'node:path'
import { AppError } from '../../../shared/errors/app-error.ts'
import { PARTIAL_SUFFIX } from '../../host/jobs/output-folder.ts'
import { listPartials } from '../../host/jobs/partial-runs.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { performRun, RUN_EXIT_CODES } from '../perform-run.ts'

export const resumeCommand: Command = {
  name: 'resume',
  summary: 'continue an unfinished run with the options that it was started with',
  help: `quantmill resume <folder> [--json]

  <folder>  the unfinished run, with or without ${PARTIAL_SUFFIX}
  --json   one JSON object on standard output, progress as JSON lines on standard error

The run wrote its request beside its journal; source, recipe, options and data must be as they were. The same as quantmill run with the same
options and --resume.

${RUN_EXIT_CODES}`,
  async run(argv, context) {
    const parsed = parseArguments('resume', argv, { json: { type: 'boolean' } }, ['folder'])
    const given = userPath(parsed.positionals[0] ?? '')
    const partialPath = given.endsWith(PARTIAL_SUFFIX) ? given : `${given}${PARTIAL_SUFFIX}`
    const partials = await listPartials([dirname(partialPath)])
    const partial = partials.find((candidate) => candidate.partialPath === partialPath)
    if (partial === undefined) {
      throw new AppError('PARTIAL_UNKNOWN', {
        subject: partialPath,
        problem: 'it is not an unfinished run of Quantmill',
        remedy: 'quantmill partials <folder> lists those of a folder',
      })
    }
    const { recorded, outputPath, problem } = partial
    if (recorded === undefined) {
      throw new AppError('JOURNAL_INVALID', {
        subject: basename(partialPath),
        problem: problem ?? 'it does not say with which options it was started',
        remedy: 'give quantmill run the same options again, with --resume',
      })
    }
    const { taskCount: _, ...request } = recorded
    return performRun({ ...request, outputPath, canResume: true }, parsed.flag('json'), context)
  },
}
