import { formatBytes, formatDuration } from '../../../shared/domain/format-text.ts'
import { DIALECTS, PROFILES } from '../../../shared/domain/run-options.ts'
import { convertExport, type ConvertReport } from '../../host/convert/convert-export.ts'
import { parseArguments, parseShardSize, required, usage, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { endRewrite, rewriteObserver } from '../rewrite-observer.ts'

const MAX_LISTED = 5

export const convertCommand: Command = {
  name: 'convert',
  summary: 'an existing export in the other dialect, without calibrating again',
  help: `quantmill convert <export> --dialect D --out DIR [options] [--json]

  --dialect D            modelopt | compressed-tensors: what to write
  --out DIR              output folder; must not exist or be empty
  --overwrite            replace an existing output when the new one is complete
  --profile P            hardened (default) | identical: form of the modelopt exclude list
  --max-shard-size S     10GB, 500MB, 4MiB ... (default: tensors stay in the shards they are in)
  --workers N            copying threads (default: one per core)

Reads exports of Quantmill, ModelOpt and llm-compressor. Weights are copied or repacked, never decoded.`,
  async run(argv, context) {
    const table = {
      dialect: { type: 'string' },
      out: { type: 'string' },
      overwrite: { type: 'boolean' },
      profile: { type: 'string' },
      'max-shard-size': { type: 'string' },
      workers: { type: 'string' },
      json: { type: 'boolean' },
    } as const
    const parsed = parseArguments('convert', argv, table, ['export'])
    const dialect = parsed.choice('dialect', DIALECTS)
    if (dialect === undefined) throw usage('convert', '--dialect is missing')
    const shardSize = parsed.text('max-shard-size')
    const request = {
      exportPath: userPath(parsed.positionals[0] ?? ''),
      outputPath: userPath(required('convert', 'out', parsed.text('out'))),
      dialect,
      profile: parsed.choice('profile', PROFILES) ?? 'hardened',
      maxShardSizeBytes: shardSize === undefined ? undefined : parseShardSize(shardSize),
      workers: parsed.wholeNumber('workers', 1) ?? 0,
      canOverwrite: parsed.flag('overwrite'),
    }
    const report = await convertExport(request, context.files, rewriteObserver(context))
    endRewrite(context)
    context.print(parsed.flag('json') ? JSON.stringify(report) : reportText(report))
    return 0
  },
}

function reportText(report: ConvertReport): string {
  const { reciprocals, droppedScales } = report
  const lines = [
    report.displayPath,
    `  ${report.from} -> ${report.to}: ${String(report.tensorCount)} tensors, ${formatBytes(report.sourceBytes)} -> ${formatBytes(report.outputBytes)} in ${formatDuration(report.durationMs)}`,
  ]
  if (reciprocals.total > 0) {
    const { total, exact, restored, recorded, rounded } = reciprocals
    lines.push(
      `  ${String(total)} scalars inverted: ${String(exact)} exactly, ${String(restored)} that converting back restores, ${String(recorded + rounded)} by way of quantmill/reciprocals.json`,
    )
  }
  if (droppedScales.length > 0) {
    lines.push(
      `  ${String(droppedScales.length)} input scales have no place in this dialect and were left out:`,
    )
    lines.push(...droppedScales.slice(0, MAX_LISTED).map((name) => `    ${name}`))
  }
  lines.push(...report.notes.map((note) => `  note: ${note}`))
  if (report.isReversible) lines.push('  converting back gives every tensor again, byte for byte')
  return lines.join('\n')
}
