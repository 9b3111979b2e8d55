/** What a run knows about its export, as `quantmill/report.json` keeps it. */
import { basename } from 'node:path'
import { EXPORT_REPORT_SCHEMA, type ExportReport } from '../../../shared/domain/export-report.ts'
import { serveCommands } from '../../engine/export/serve-commands.ts'
import { NodeCheckpointFolder } from '../../engine/io/node/checkpoint-folder.ts'
import { summarisePlan } from '../../engine/pipeline/summarise-plan.ts'
import { verifyExport } from '../../engine/verify/verify-export.ts'
import { smoothingReport } from '../smoothing/smoothing-report.ts'
import { verifyOutcome } from '../report/verify-outcome.ts'
import { expertStatistics } from './expert-statistics.ts'
import { runFindings } from './make-report.ts'
import type { OutputFolder } from './output-folder.ts'
import type { RunParts } from './run-parts.ts'
import { uncoveredExperts } from './uncovered-experts.ts'

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
    smoothing: smoothingReport(plan.smoothing, calibrated.smoothing),
    quality: calibrated.quality?.report,
    serveCommands: serveCommands(plan, model, `./${name}`),
    verification: verifyOutcome(verified, 'headers'),
  }
}
