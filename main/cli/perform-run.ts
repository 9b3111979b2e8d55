/** A run of the command line, however it was asked for: progress on standard error, its report on standard output, Ctrl-C cancels it. */
import { basename } from 'node:path'
import { formatBytes, formatDuration } from '../../shared/domain/format-text.ts'
import type { CoverageSearch, JobId, RunReport } from '../../shared/domain/job.ts'
import { EXIT_CODES } from '../../shared/errors/codes.ts'
import type { HostStartRequest } from '../host/host-api.ts'
import { JobRecord } from '../host/jobs/job-record.ts'
import { preferSmallHeap } from '../engine/io/node/release-garbage.ts'
import { runJob } from '../host/jobs/run-job.ts'
import type { CommandContext } from './command.ts'
import { makeProgress } from './progress.ts'
import { qualityText } from './quality-text.ts'

const CANCEL_POLL_MS = 50
/** Experts that are listed; the receipt has all. */
const SHOWN_EXPERTS = 10

export const RUN_EXIT_CODES = `Exit codes: 0 done; 1 done, but a quality bound failed; 2 bad usage or input; 3 environment; 130 cancelled (Ctrl-C);
143 stopped by the system (SIGTERM, SIGHUP). Cancelled and stopped runs, and those that ended with 3, continue with --resume.`

/** Resolves to the exit code of a run that came to its end. Throws what runJob throws. */
export async function performRun(
  request: HostStartRequest,
  isJson: boolean,
  context: CommandContext,
): Promise<number> {
  preferSmallHeap()
  const record = new JobRecord({
    jobId: 'j_cli' as JobId,
    checkpointName: basename(request.checkpointPath),
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
  if (report.coverageSearch !== undefined) lines.push(...searchLines(report.coverageSearch))
  for (const notice of report.calibrationNotices ?? []) lines.push(`  note: ${notice}`)
  for (const { layerIndex, expertIndex, fallback } of report.uncoveredExperts.slice(0, SHOWN_EXPERTS)) {
    lines.push(`    layer ${String(layerIndex)} expert ${String(expertIndex)}: ${fallback}`)
  }
  if (report.uncoveredExperts.length > SHOWN_EXPERTS)
    lines.push(
      `    and ${String(report.uncoveredExperts.length - SHOWN_EXPERTS)} more, see quantmill/receipt.json`,
    )
  if (report.quality !== undefined) lines.push(...qualityText(report.quality).map((line) => `  ${line}`))
  for (const { code, subject, message } of report.findings)
    lines.push(`  quality ${code}: ${subject}: ${message}`)
  for (const { subject, message } of report.repairs ?? []) lines.push(`  repaired: ${subject}: ${message}`)
  for (const { engine, command } of report.serveCommands) lines.push(`  ${engine}: ${command}`)
  return lines.join('\n')
}

function searchLines(search: CoverageSearch): readonly string[] {
  const { minTokensPerExpert, candidateSamples, initialSamples, addedSamples, inOrderSamples } = search
  const { outOfReach } = search
  const used = initialSamples + addedSamples.length
  const lines = [
    `  ${String(minTokensPerExpert)} tokens per expert: ${String(used)} samples of ${String(candidateSamples)} used, in order ${String(inOrderSamples)}; ${String(outOfReach.length)} experts out of reach`,
  ]
  for (const { layerIndex, expertIndex, tokens } of outOfReach.slice(0, SHOWN_EXPERTS)) {
    lines.push(
      `    layer ${String(layerIndex)} expert ${String(expertIndex)}: ${String(tokens)} tokens in all candidates`,
    )
  }
  if (outOfReach.length > SHOWN_EXPERTS)
    lines.push(`    and ${String(outOfReach.length - SHOWN_EXPERTS)} more, see quantmill/receipt.json`)
  return lines
}
