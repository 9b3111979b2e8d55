/** Serve commands of a report, for where the export lies now. */
import type { ExportReport } from '../../../shared/domain/export-report.ts'
import { shellQuoted } from '../../engine/export/serve-commands.ts'

/** What the commands of a report begin with, then the export's own folder, then options of plain words. */
const COMMAND =
  /^(vllm serve|python -m sglang\.launch_server --model-path|trtllm-serve) ('(?:[^']|'\\'')*'|[A-Za-z0-9_@%+=:,./-]+)((?: --[a-z][a-z-]* [a-z0-9_]+)*)$/

/**
 * The same report with commands for `exportPath`. A report is a file of whoever made the export, and its commands are copied into shells: one
 * that Quantmill would not have written is left out.
 */
export function servedAt(report: ExportReport, exportPath: string): ExportReport {
  const serveCommands = report.serveCommands.flatMap(({ engine, command }) => {
    const [, program, , options] = COMMAND.exec(command) ?? []
    if (program === undefined || options === undefined) return []
    return [{ engine, command: `${program} ${shellQuoted(exportPath)}${options}` }]
  })
  return { ...report, serveCommands }
}
