import { listTensors } from '../../engine/checkpoint/list-tensors.ts'
import { summariseCheckpoint } from '../../engine/checkpoint/summarise-checkpoint.ts'
import { inspectText } from '../../engine/checkpoint/inspect-text.ts'
import { openModel } from '../../host/jobs/prepare-run.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'

export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'what is inside a checkpoint: family, layout, layers, experts, bytes by role, problems',
  help: `quantmill inspect <checkpoint> [--json] [--tensors]

  --json      one JSON object on standard output
  --tensors   with --json: list every tensor`,
  async run(argv, { print }) {
    const options = { json: { type: 'boolean' }, tensors: { type: 'boolean' } } as const
    const parsed = parseArguments('inspect', argv, options, ['checkpoint'])
    const { checkpoint, model } = await openModel(userPath(parsed.positionals[0] ?? ''))
    const summary = summariseCheckpoint(checkpoint, model)
    if (!parsed.flag('json')) {
      print(inspectText(summary))
      return 0
    }
    const all = { filter: '', offset: 0, limit: checkpoint.tensors.size }
    const tensors = parsed.flag('tensors') ? { tensors: listTensors(checkpoint, model, all).rows } : {}
    print(JSON.stringify({ ...summary, ...tensors }))
    return 0
  },
}
