import { stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { formatBytes, formatNumber } from '../../../shared/domain/format-text.ts'
import { AppError } from '../../../shared/errors/app-error.ts'
import type { HostPartial } from '../../host/host-api.ts'
import { PARTIAL_SUFFIX } from '../../host/jobs/output-folder.ts'
import { listPartials, removePartialRun } from '../../host/jobs/partial-runs.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'

export const partialsCommand: Command = {
  name: 'partials',
  summary: 'unfinished runs in a folder: how far they came, how to continue or remove them',
  help: `quantmill partials <folder> [--remove NAME] [--json]

  --remove NAME   remove this unfinished run and everything in its folder; NAME as listed, with or without ${PARTIAL_SUFFIX}
  --json          one JSON object on standard output

Only folders that carry files of a run of Quantmill are listed or removed; none is removed while a run is writing it.`,
  async run(argv, { print }) {
    const table = { remove: { type: 'string' }, json: { type: 'boolean' } } as const
    const parsed = parseArguments('partials', argv, table, ['folder'])
    const folder = userPath(parsed.positionals[0] ?? '')
    const name = parsed.text('remove')
    if (name !== undefined) {
      const partialPath = pathOf(folder, name)
      await removePartialRun(partialPath)
      print(parsed.flag('json') ? JSON.stringify({ removed: partialPath }) : `removed ${partialPath}`)
      return 0
    }
    await requireFolder(folder)
    const partials = await listPartials([folder])
    if (parsed.flag('json')) print(JSON.stringify({ partials }))
    else print(partials.length === 0 ? 'no unfinished run' : partials.map(asText).join('\n'))
    return 0
  },
}

async function requireFolder(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats?.isDirectory() === true) return
  throw new AppError('USAGE', {
    subject: path,
    problem: stats === undefined ? 'there is no such folder' : 'this is not a folder',
    remedy: 'give the folder in which the exports were to be written',
  })
}

/** A name, never a path: what is removed lies directly in the folder that was given. */
function pathOf(folder: string, name: string): string {
  const whole = name.endsWith(PARTIAL_SUFFIX) ? name : `${name}${PARTIAL_SUFFIX}`
  if (basename(whole) === whole) return join(folder, whole)
  throw new AppError('USAGE', {
    subject: 'partials',
    problem: `--remove is "${name}", which is not a name in that folder`,
    remedy: 'give the folder, then a name as it is listed',
  })
}

function asText({ partialPath, state, problem, sizeBytes, doneTasks, recorded }: HostPartial): string {
  const total = recorded === undefined ? '' : ` of ${formatNumber(recorded.taskCount)}`
  const facts = `${state}, ${formatBytes(sizeBytes)} on disk, ${formatNumber(doneTasks)}${total} tasks finished`
  const lines = [basename(partialPath), `  ${facts}`]
  if (problem !== undefined) lines.push(`  ${problem}`)
  if (recorded !== undefined)
    lines.push(`  recipe ${recorded.options.recipe}, from ${recorded.checkpointPath}`)
  if (recorded !== undefined && state === 'resumable') lines.push(`  quantmill resume ${quoted(partialPath)}`)
  return lines.join('\n')
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`
}
