/** `quantmill/report.json` and `report.html` of an export. */
import { basename, join } from 'node:path'
import {
  EXPORT_REPORT_SCHEMA,
  REPORT_FILE,
  REPORT_PAGE_FILE,
  type ExportReport,
  type VerifyOutcome,
  type VerifyScope,
} from '../../../shared/domain/export-report.ts'
import type { VerifyReport } from '../../../shared/domain/verify-report.ts'
import { reportPage } from '../../engine/export/report/report-page.ts'
import { serveCommands } from '../../engine/export/serve-commands.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { summarisePlan } from '../../engine/pipeline/summarise-plan.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import { expertStatistics } from './expert-statistics.ts'
import { runFindings } from './make-report.ts'
import { writeSmallFile, type OutputFolder } from './output-folder.ts'
import type { RunParts } from './run-parts.ts'
import { uncoveredExperts } from './uncovered-experts.ts'

/** The folder that a run leaves inside an export. */
export const OWN_FOLDER = 'quantmill'

/** Verifies headers and configuration of the sealed shards on the way. */
export async function makeExportReport(parts: RunParts, output: OutputFolder): Promise<ExportReport> {
  const { prepared, calibrated, request, environment } = parts
  const { plan, model } = prepared
  const summary = summarisePlan(plan, model, { workers: 1, calibrationTokens: 0 })
  const name = basename(output.finalPath)
  const verified = await verifyExport(new NodeCheckpointFolder(output.partialPath), { isHeadersOnly: true })
  return {
    schema: EXPORT_REPORT_SCHEMA,
    producer: { name: 'quantmill', version: environment.version },
    source: {
      name: basename(request.checkpointPath),
      architecture: model.architecture,
      layerCount: model.text.layerCount,
      expertCount: model.text.expertCount,
      topK: model.text.topK,
      sizeBytes: plan.sourceBytes,
    },
    export: {
      name,
      recipe: plan.recipeName,
      profile: plan.profile,
      dialect: summary.dialect,
      kvCache: plan.kvCache,
      sizeBytes: plan.outputBytes,
      bitsPerWeight: summary.bitsPerWeight,
      tensorCount: plan.tensors.length,
      quantizedTensorCount: summary.byFormat.reduce(
        (sum, { format, tensorCount }) => sum + (format === 'unquantized' ? 0 : tensorCount),
        0,
      ),
      byFormat: summary.byFormat,
    },
    calibration: {
      tokenCount: calibrated.stats.tokenCount,
      device: calibrated.device,
      notices: calibrated.notices,
      ...expertStatistics(calibrated.stats, model),
      uncoveredExperts: uncoveredExperts(parts),
    },
    ...runFindings(parts),
    serveCommands: serveCommands(plan, model, `./${name}`),
    verification: verifyOutcome(verified, 'headers'),
  }
}

/** Without the paths of this machine. */
export function verifyOutcome(report: VerifyReport, scope: VerifyScope): VerifyOutcome {
  const { displayPath: _displayPath, sourcePath: _sourcePath, ...outcome } = report
  return { ...outcome, scope }
}

/** Writes both forms into `<folder>/quantmill`, replacing older ones. Throws DISK_FULL, PERMISSION_DENIED, WRITE_FAILED. */
export async function writeReports(folderPath: string, report: ExportReport): Promise<void> {
  const own = join(folderPath, OWN_FOLDER)
  await writeSmallFile(join(own, REPORT_FILE), `${JSON.stringify(report)}\n`)
  await writeSmallFile(join(own, REPORT_PAGE_FILE), reportPage(report))
}
