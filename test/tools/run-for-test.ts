/** Runs a job in this process with the built workers, as the command line does, and returns report and observations. */
import { readdir, readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { DEFAULT_RUN_OPTIONS, type RunOptions } from '../../shared/domain/run-options.ts'
import type { RunReport } from '../../shared/domain/job.ts'
import type { HostStartRequest } from '../../main/host/host-api.ts'
import type { JobEnvironment, JobObserver } from '../../main/host/jobs/job-observer.ts'
import { runJob } from '../../main/host/jobs/run-job.ts'
import { SAMPLE } from './sample-path.ts'
import { temporaryFolder } from './temporary-folder.ts'

const OUT = join(import.meta.dirname, '../../out/main')

export const TEST_ENVIRONMENT: JobEnvironment = {
  version: '0.0.0-test',
  exportWorkerFile: join(OUT, 'export.worker.js'),
  deviceWorkerFile: join(OUT, 'device.worker.js'),
  verifyWorkerFile: join(OUT, 'verify.worker.js'),
  kernelsFile: join(OUT, 'kernels.wasm'),
  cpuCount: availableParallelism(),
}

export function silentObserver(isCancelled: () => boolean = () => false): JobObserver {
  const nothing = (): void => undefined
  return {
    setModel: nothing,
    stageStarted: nothing,
    stageProgress: nothing,
    stageDone: nothing,
    stageSkipped: nothing,
    layerActive: nothing,
    expertTokens: nothing,
    expertAmax: nothing,
    expertErrors: nothing,
    log: nothing,
    isCancelled,
  }
}

export interface TestRun {
  readonly report: RunReport
  readonly outputPath: string
}

/** Runs with defaults for what is not given, without measuring quality; the output lands in a new temporary folder. */
export async function runForTest(
  request: Omit<Partial<HostStartRequest>, 'options'> & {
    readonly options: Partial<RunOptions> & { readonly recipe: string }
  },
  observer: JobObserver = silentObserver(),
): Promise<TestRun> {
  const outputPath = request.outputPath ?? join(await temporaryFolder(), 'export')
  const full: HostStartRequest = {
    checkpointPath: SAMPLE,
    ...request,
    outputPath,
    options: { ...DEFAULT_RUN_OPTIONS, workers: 2, device: 'cpu', quality: 'off', ...request.options },
  }
  return { report: await runJob(full, TEST_ENVIRONMENT, observer), outputPath }
}

export async function sha256File(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

/** File name -> SHA-256 of everything at the top level of an export. */
export async function hashExport(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
  return Object.fromEntries(
    await Promise.all(files.sort().map(async (name) => [name, await sha256File(join(folder, name))])),
  )
}
