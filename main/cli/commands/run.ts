import { basename } from 'node:path'
import { formatBytes, formatDuration } from '../../../shared/domain/format-text.ts'
import type { JobId, RunReport } from '../../../shared/domain/job.ts'
import { EXIT_CODES } from '../../../shared/errors/codes.ts'
import { JobRecord } from '../../host/jobs/job-record.ts'
import { preferSmallHeap } from '../../host/jobs/release-garbage.ts'
import { runJob } from '../../host/jobs/run-job.ts'
import { parseArguments, required, userPath } from '../arguments.ts'
import type { Command } from '../command.ts'
import { makeProgress } from '../progress.ts'
import { readRunOptions, RUN_OPTION_HELP, RUN_OPTION_TABLE } from '../run-arguments.ts'

const CANCEL_POLL_MS = 50

export const runCommand: Command = {
  name: 'run',
  summary: 'calibrate, quantize and export a checkpoint',
  help: `quantmill run <checkpoint> --recipe R --out DIR [options]

${RUN_OPTION_HELP}
  --out DIR                  output folder; must not exist or be empty
  --overwrite                replace an existing output when the new one is complete
  --resume                   continue an unfinished run of the same source, recipe, options and data
  --calib FILE|builtin       .txt, .jsonl (text or messages) or .safetensors (input_ids); default builtin
  --amax FILE                calibration dump instead of calibrating: calibration.safetensors or amax JSON
  --json                     one JSON object on standard output, progress as JSON lines on standard error

Exit codes: 0 done; 1 done, but a quality bound failed; 2 bad usage or input; 3 environment; 130 cancelled.`,
  async run(argv, context) {
    const table = {
      ...RUN_OPTION_TABLE,
      out: { type: 'string' },
      overwrite: { type: 'boolean' },
      resume: { type: 'boolean' },
      calib: { type: 'string' },
      amax: { type: 'string' },
    } as const
    const parsed = parseArguments('run', argv, table, ['checkpoint'])
    const checkpointPath = userPath(parsed.positionals[0] ?? '')
    const calib = parsed.text('calib') ?? 'builtin'
    const request = {
      checkpointPath,
      options: await readRunOptions('run', parsed),
      outputPath: userPath(required('run', 'out', parsed.text('out'))),
      calibrationPath: calib === 'builtin' ? undefined : userPath(calib),
      amaxPath: parsed.path('amax'),
      canOverwrite: parsed.flag('overwrite'),
      canResume: parsed.flag('resume'),
    }
    preferSmallHeap()
    const isJson = parsed.flag('json')
    const record = new JobRecord({
      jobId: 'j_cli' as JobId,
      checkpointName: basename(checkpointPath),
      recipe: request.options.recipe,
      publish: makeProgress(context, isJson),
      publishLog: ({ level, message }) => {
        if (level === 'warn') context.note(`${context.isTerminal ? '\r\u001b[K' : ''}warning: ${message}\n`)
      },
    })
    const watch = setInterval(() => {
      if (context.isCancelled()) record.apply({ kind: 'cancel_requested' })
    }, CANCEL_POLL_MS)
    try {
      const report = await runJob(request, context.files, record)
      record.apply({ kind: 'succeeded', report })
      if (context.isTerminal && !isJson) context.note('\n')
      context.print(isJson ? JSON.stringify(report) : reportText(report))
      return report.findings.length > 0 ? EXIT_CODES.quality : 0
    } finally {
      clearInterval(watch)
    }
  },
}

function reportText(report: RunReport): string {
  const lines = [
    report.displayPath,
    `  ${formatBytes(report.sourceBytes)} -> ${formatBytes(report.outputBytes)} in ${formatDuration(report.durationMs)}, recipe ${report.recipe}, profile ${report.profile}`,
    `  ${String(report.quantizedTensorCount)} tensors quantized, ${String(report.tensorCount)} written`,
  ]
  if (report.calibratedTokens > 0) {
    lines.push(
      `  calibrated on ${String(report.calibratedTokens)} tokens (${report.device}); ${String(report.uncoveredExperts.length)} of ${String(report.expertCount)} experts saw none`,
    )
  }
  for (const notice of report.calibrationNotices ?? []) lines.push(`  note: ${notice}`)
  for (const { layerIndex, expertIndex, fallback } of report.uncoveredExperts.slice(0, 10)) {
    lines.push(`    layer ${String(layerIndex)} expert ${String(expertIndex)}: ${fallback}`)
  }
  if (report.uncoveredExperts.length > 10)
    lines.push(`    and ${String(report.uncoveredExperts.length - 10)} more, see quantmill/receipt.json`)
  for (const { code, subject, message } of report.findings)
    lines.push(`  quality ${code}: ${subject}: ${message}`)
  for (const { subject, message } of report.repairs ?? []) lines.push(`  repaired: ${subject}: ${message}`)
  for (const { engine, command } of report.serveCommands) lines.push(`  ${engine}: ${command}`)
  return lines.join('\n')
}
