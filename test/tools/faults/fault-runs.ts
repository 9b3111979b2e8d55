/** Runs that faults are put into: small ones of both kinds, what an undisturbed one leaves, and what every disturbed one must come to. */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { expect } from 'vitest'
import type { JobEnvironment } from '../../../main/host/jobs/job-observer.ts'
import { runJob } from '../../../main/host/jobs/run-job.ts'
import { DEFAULT_RUN_OPTIONS, type RunOptions } from '../../../shared/domain/run-options.ts'
import { hashExport, silentObserver, TEST_ENVIRONMENT } from '../run-for-test.ts'
import { temporaryFolder } from '../temporary-folder.ts'
import { makeFaultyWorker, type WorkerFault } from './faulty-worker.ts'
import { installHostFault } from './host-faults.ts'
import { smallCheckpoint } from './small-checkpoint.ts'

/** Every position with QUANTMILL_FAULTS=all (`npm run fault-test`), some otherwise. */
export const IS_EXHAUSTIVE = process.env['QUANTMILL_FAULTS'] === 'all'
export const EXHAUSTIVE_LIMIT = { timeout: 3_600_000 }

const OPTIONS = { ...DEFAULT_RUN_OPTIONS, workers: 1, maxShardSizeBytes: 1_000_000, device: 'cpu' as const }

/** The second has states in a scratch file and at layer boundaries, which the device worker writes. */
export const SCENARIOS = {
  'without data': { ...OPTIONS, recipe: 'nvfp4_experts_only_input_scale1-kv_fp8_cast' },
  calibrated: { ...OPTIONS, recipe: 'nvfp4_default-kv_fp8', samples: 2, sequenceLength: 64, memoryBytes: 0 },
} as const satisfies Record<string, RunOptions>
export type Scenario = keyof typeof SCENARIOS

export type WorkerName = 'export' | 'device'
type WorkerCalls = Readonly<Record<`${WorkerName} ${WorkerFault['call']}`, number>>

export interface Undisturbed {
  readonly checkpointPath: string
  readonly contents: Readonly<Record<string, string>>
  /** Names of the calls of this process that change something, in order. */
  readonly hostCalls: readonly string[]
  /** Of the thread that makes most of them: every thread counts for itself. */
  readonly workerCalls: WorkerCalls
}

const NEVER = { at: -1, kind: 'EIO' } as const

const undisturbedRuns = new Map<Scenario, Promise<Undisturbed>>()

/** A run of a scenario without a fault, counted; the same for everybody in this process. */
export function undisturbedRun(scenario: Scenario): Promise<Undisturbed> {
  const run = undisturbedRuns.get(scenario) ?? runUndisturbed(scenario)
  undisturbedRuns.set(scenario, run)
  return run
}

async function runUndisturbed(scenario: Scenario): Promise<Undisturbed> {
  const checkpointPath = await smallCheckpoint()
  const counted = async (call: WorkerFault['call']) => {
    const folder = await temporaryFolder()
    const outputPath = join(folder, 'export')
    const workers = {
      export: await makeFaultyWorker(folder, 'export', { ...NEVER, call }),
      device: await makeFaultyWorker(folder, 'device', { ...NEVER, call }),
    }
    const environment = {
      ...TEST_ENVIRONMENT,
      exportWorkerFile: workers.export.file,
      deviceWorkerFile: workers.device.file,
    }
    const faults = installHostFault({ ...NEVER, folder })
    await runFaulty(scenario, checkpointPath, outputPath, environment).finally(() => {
      faults.remove()
    })
    return { outputPath, hostCalls: [...faults.calls], workers }
  }
  const writes = await counted('writeSync')
  const reads = await counted('readSync')
  return {
    checkpointPath,
    contents: await contentsOf(writes.outputPath),
    hostCalls: writes.hostCalls,
    workerCalls: {
      'export writeSync': writes.workers.export.calls(),
      'device writeSync': writes.workers.device.calls(),
      'export readSync': reads.workers.export.calls(),
      'device readSync': reads.workers.device.calls(),
    },
  }
}

export function runFaulty(
  scenario: Scenario,
  checkpointPath: string,
  outputPath: string,
  environment: JobEnvironment = TEST_ENVIRONMENT,
  canResume = false,
): Promise<unknown> {
  const request = { checkpointPath, outputPath, options: SCENARIOS[scenario], canResume }
  return runJob(request, environment, silentObserver())
}

/** Runs in a new folder with one call of a worker going wrong. Resolves to the outcome. */
export async function runWithWorkerFault(
  scenario: Scenario,
  { checkpointPath }: Undisturbed,
  worker: WorkerName,
  fault: WorkerFault,
): Promise<{ readonly outputPath: string; readonly outcome: unknown; readonly hasHappened: () => boolean }> {
  const folder = await temporaryFolder()
  const outputPath = join(folder, 'export')
  const { file, hasHappened } = await makeFaultyWorker(folder, worker, fault)
  const environment = { ...TEST_ENVIRONMENT, [`${worker}WorkerFile`]: file }
  const outcome = await outcomeOf(runFaulty(scenario, checkpointPath, outputPath, environment))
  return { outputPath, outcome, hasHappened }
}

export function outcomeOf(run: Promise<unknown>): Promise<unknown> {
  return run.then(
    () => 'done',
    (error: unknown) => error,
  )
}

/** What the export holds besides what is equal in every run. */
export async function contentsOf(outputPath: string): Promise<Record<string, string>> {
  return { ...(await hashExport(outputPath)), own: (await readdir(join(outputPath, 'quantmill'))).join() }
}

/** Nothing stands under the final name, and continuing gives the bytes of an undisturbed run and leaves nothing else. */
export async function expectContinues(
  scenario: Scenario,
  { checkpointPath, contents }: Undisturbed,
  outputPath: string,
  where: string,
): Promise<void> {
  expect(existsSync(outputPath), where).toBe(false)
  await runFaulty(scenario, checkpointPath, outputPath, TEST_ENVIRONMENT, true)
  expect(await contentsOf(outputPath), where).toEqual(contents)
  const left = (await readdir(dirname(outputPath))).filter((name) => !name.startsWith('faulty-'))
  expect(left, where).toEqual([basename(outputPath)])
}

/** All of them, or the first, the last and some between. */
export function positions(count: number, sampled: number): readonly number[] {
  if (IS_EXHAUSTIVE) return Array.from({ length: count }, (_, index) => index)
  const step = sampled === 1 ? 0 : (count - 1) / (sampled - 1)
  const first = sampled === 1 ? Math.floor(count / 2) : 0
  return [...new Set(Array.from({ length: sampled }, (_, index) => first + Math.round(index * step)))]
}

const tally = new Map<string, number>()

/** Counts cases by what went wrong in them; printed by `npm run fault-test`. */
export function countCase(label: string): void {
  tally.set(label, (tally.get(label) ?? 0) + 1)
}

export function printTally(): void {
  if (!IS_EXHAUSTIVE) return
  for (const [label, count] of tally) process.stdout.write(`faults: ${String(count).padStart(5)}  ${label}\n`)
  tally.clear()
}
