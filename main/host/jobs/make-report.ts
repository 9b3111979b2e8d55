/** The report of a finished run, as the Report view and `run --json` show it. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { QualityFinding, RunReport } from '../../../shared/domain/job.ts'
import { serveCommands } from '../../engine/export/serve-commands.ts'
import type { DeadWeight } from '../../workers/export-protocol.ts'
import type { JobClock } from './job-clock.ts'
import type { RunParts } from './run-parts.ts'
import { layerCoverage, uncoveredExperts } from './uncovered-experts.ts'

const DEAD_MESSAGES: Readonly<Record<DeadWeight['outcome'], string>> = {
  repaired: 'all weights are zero; finite scales were written, the values stay zero',
  reproduced: 'all weights are zero; the scales are NaN, as ModelOpt writes them',
  uncovered:
    'tiles hold rows of gate and up, and the maxima that ModelOpt gives this half are too small: some values are NaN, as ModelOpt writes them; the hardened profile gives it tiles of its own',
}

export async function makeReport(parts: RunParts, finalPath: string, clock: JobClock): Promise<RunReport> {
  const { prepared, sweep, calibrated, workerCount } = parts
  const { plan, model } = prepared
  const outputFiles = await listFiles(finalPath)
  return {
    displayPath: finalPath,
    recipe: plan.recipeName,
    profile: plan.profile,
    sourceBytes: plan.sourceBytes,
    outputBytes: outputFiles.reduce((sum, file) => sum + file.sizeBytes, 0),
    outputFiles,
    tensorCount: plan.tensors.length,
    quantizedTensorCount: plan.tasks.reduce(
      (sum, task) => sum + (task.kind === 'quantize' ? task.members.length : 0),
      0,
    ),
    expertCount: model.text.expertCount * model.text.layerCount,
    calibratedTokens: calibrated.stats.tokenCount,
    calibrationNotices: calibrated.notices,
    device: calibrated.device,
    workers: workerCount,
    uncoveredExperts: uncoveredExperts(parts),
    coverage: layerCoverage(parts),
    coverageSearch: calibrated.coverageSearch,
    ...runFindings(parts),
    quality: calibrated.quality?.report,
    serveCommands: serveCommands(plan, model, finalPath),
    durationMs: clock.elapsedMs,
    stageDurationsMs: clock.stageDurationsMs,
    bytesRead: sweep.bytesRead + calibrated.bytesRead,
    spilledBytes: calibrated.spilledBytes,
    peakResidentBytes: process.resourceUsage().maxRSS * 1024,
  }
}

/** The hardened profile repairs what the identical profile leaves as a finding. */
export function runFindings({
  prepared,
  sweep,
  scaleFindings,
  calibrated,
}: Pick<RunParts, 'prepared' | 'sweep' | 'scaleFindings' | 'calibrated'>): Required<
  Pick<RunReport, 'findings' | 'repairs'>
> {
  const dead: QualityFinding[] = sweep.deadWeights.map(({ name, outcome }) => ({
    code: 'SCALE_NOT_FINITE',
    subject: name,
    message: DEAD_MESSAGES[outcome],
  }))
  const all = [...dead, ...scaleFindings]
  const measured = calibrated.quality?.findings ?? []
  return prepared.plan.profile === 'hardened'
    ? { findings: measured, repairs: all }
    : { findings: [...all, ...measured], repairs: [] }
}

async function listFiles(folder: string): Promise<{ fileName: string; sizeBytes: number }[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const sized = await Promise.all(files.map(async (path) => ({ path, size: (await stat(path)).size })))
  return sized
    .map(({ path, size }) => ({ fileName: path.slice(folder.length + 1), sizeBytes: size }))
    .sort((a, b) => (a.fileName < b.fileName ? -1 : 1))
}
