import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import { verifyText } from '../../engine/verify/verify-text.ts'
import { EXIT_CODES } from '../../../shared/errors/codes.ts'
import { requireFolder } from '../../host/jobs/prepare-run.ts'
import { parseArguments, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'

const ENGINES = ['all', 'vllm', 'sglang', 'trtllm'] as const

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'check an export: names, scales, configuration, engines; with --source also copies and errors',
  help: `quantmill verify <export> [--source CHECKPOINT] [--engine E] [--json]

  <export>             an export of Quantmill, ModelOpt or LLM Compressor (modelopt or compressed-tensors)
  --source CHECKPOINT  the checkpoint it was made from: carried tensors and files must be identical to it and
                       every dequantized weight within the error bound of its format
  --engine E           vllm | sglang | trtllm: fail when this engine is known to refuse or misread the export;
                       all (default): show what is known of each
  --json               one JSON object on standard output

Exit codes: 0 sound; 1 a rule is broken; 2 bad usage or not an export; 3 environment; 130 cancelled.`,
  async run(argv, { print, isCancelled }) {
    const table = {
      source: { type: 'string' },
      engine: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    const parsed = parseArguments('verify', argv, table, ['export'])
    const engine = parsed.choice('engine', ENGINES) ?? 'all'
    const path = userPath(parsed.positionals[0] ?? '')
    const sourcePath = parsed.path('source')
    await requireFolder(path)
    if (sourcePath !== undefined) await requireFolder(sourcePath)
    const report = await verifyExport(new NodeCheckpointFolder(path), {
      source: sourcePath === undefined ? undefined : new NodeCheckpointFolder(sourcePath),
      engine: engine === 'all' ? undefined : engine,
      isCancelled,
    })
    print(parsed.flag('json') ? JSON.stringify(report) : verifyText(report))
    return report.isSound ? 0 : EXIT_CODES.quality
  },
}
