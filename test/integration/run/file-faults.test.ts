/**
 * Every file call of a run that changes something, failing in turn: a full disk, an input/output error, a lost right, a write that is shorter
 * than asked. The run must end with the error that says so (or, after a short write, as if nothing had been), nothing may stand under the final
 * name, and continuing must give the bytes of an undisturbed run. Here a few positions; all with QUANTMILL_FAULTS=all (`npm run fault-test`).
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { runJob } from '../../../main/host/jobs/run-job.ts'
import type { JobEnvironment } from '../../../main/host/jobs/job-observer.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../shared/domain/run-options.ts'
import { makeFaultyWorker, type WorkerFault } from '../../tools/faults/faulty-worker.ts'
import { installHostFault, type FaultKind } from '../../tools/faults/host-faults.ts'
import { smallCheckpoint } from '../../tools/faults/small-checkpoint.ts'
import { hashExport, silentObserver, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const IS_ALL = process.env['QUANTMILL_FAULTS'] === 'all'
const RECIPE = 'nvfp4_experts_only_input_scale1-kv_fp8_cast'
const CODES = { ENOSPC: 'DISK_FULL', EIO: 'WRITE_FAILED', EACCES: 'PERMISSION_DENIED' } as const

let checkpointPath = ''
let undisturbed: Record<string, string> = {}
/** Calls of an undisturbed run: of this process by name, of the worker by number. */
let hostCalls: readonly string[] = []
let workerWrites = 0
let workerReads = 0

function run(outputPath: string, environment: JobEnvironment, canResume = false): Promise<unknown> {
  const options = { ...DEFAULT_RUN_OPTIONS, recipe: RECIPE, workers: 1, maxShardSizeBytes: 1_000_000 }
  const request = { checkpointPath, outputPath, options, canResume }
  return runJob(request, environment, silentObserver())
}

async function withWorker(folder: string, fault: WorkerFault) {
  const worker = await makeFaultyWorker(folder, 'export', fault)
  return { worker, environment: { ...TEST_ENVIRONMENT, exportWorkerFile: worker.file } }
}

/** What the export holds besides what is equal in every run. */
async function contents(outputPath: string): Promise<Record<string, string>> {
  return { ...(await hashExport(outputPath)), own: (await readdir(join(outputPath, 'quantmill'))).join() }
}

async function expectContinued(folder: string, outputPath: string): Promise<void> {
  await run(outputPath, TEST_ENVIRONMENT, true)
  expect(await contents(outputPath)).toEqual(undisturbed)
  expect((await readdir(folder)).filter((name) => !name.startsWith('faulty-'))).toEqual(['export'])
}

beforeAll(async () => {
  checkpointPath = await smallCheckpoint()
  const folder = await temporaryFolder()
  const outputPath = join(folder, 'export')
  const never = { at: -1, kind: 'EIO' } as const
  const { worker, environment } = await withWorker(folder, { ...never, call: 'writeSync' })
  const faults = installHostFault({ ...never, folder })
  await run(outputPath, environment).finally(() => {
    faults.remove()
  })
  hostCalls = [...faults.calls]
  workerWrites = worker.calls()
  undisturbed = await contents(outputPath)
  const second = await temporaryFolder()
  const reading = await withWorker(second, { ...never, call: 'readSync' })
  await run(join(second, 'export'), reading.environment)
  workerReads = reading.worker.calls()
})

/** All of them, or the first, the last and some between. */
function positions(count: number, sampled: number): readonly number[] {
  if (IS_ALL) return Array.from({ length: count }, (_, index) => index)
  return [
    ...new Set(
      Array.from({ length: sampled }, (_, step) => Math.round((step * (count - 1)) / (sampled - 1))),
    ),
  ]
}

test('the calls of an undisturbed run are seen', () => {
  expect(new Set(hostCalls)).toEqual(
    new Set([
      'mkdir',
      'rm',
      'open',
      'appendFile',
      'truncate',
      'writeSync',
      'writeFile',
      'datasync',
      'sync',
      'copyFile',
      'chmod',
      'rename',
    ]),
  )
  expect(workerWrites).toBeGreaterThan(30)
  expect(workerReads).toBeGreaterThan(20)
})

describe.each(['ENOSPC', 'EIO', 'EACCES'] as const)('%s', (kind) => {
  test('at calls of the host', { timeout: 1_800_000 }, async () => {
    for (const at of positions(hostCalls.length, 4)) await failAtHost(at, kind)
  })

  test('at writes of a worker', { timeout: 1_800_000 }, async () => {
    for (const at of positions(workerWrites, 2)) {
      const folder = await temporaryFolder()
      const outputPath = join(folder, 'export')
      const { environment } = await withWorker(folder, {
        call: 'writeSync',
        at,
        kind,
      })
      await expect(run(outputPath, environment), `write ${String(at)}`).rejects.toMatchObject({
        code: CODES[kind],
      })
      expect(existsSync(outputPath)).toBe(false)
      await expectContinued(folder, outputPath)
    }
  })
})

async function failAtHost(at: number, kind: Exclude<FaultKind, 'short'>): Promise<void> {
  const folder = await temporaryFolder()
  const outputPath = join(folder, 'export')
  const faults = installHostFault({ folder, at, kind })
  const outcome = await run(outputPath, TEST_ENVIRONMENT).then(
    () => 'done',
    (error: unknown) => error,
  )
  faults.remove()
  // How often the journal is written depends on time, so a number at the end may not be reached.
  const call = faults.calls[at] ?? 'not reached'
  const where = `${call}, call ${String(at)}`
  if (outcome === 'done') {
    // What only tidies up, or makes a name durable that is there already, does not undo an export that is complete.
    expect(['rm', 'sync', 'not reached'], where).toContain(call)
    expect(await contents(outputPath), where).toEqual(undisturbed)
    return
  }
  expect(outcome, `${where}: ${String(outcome)}`).toMatchObject({ code: CODES[kind] })
  expect(existsSync(outputPath), where).toBe(false)
  await expectContinued(folder, outputPath)
}

test('writes that are shorter than asked are completed', { timeout: 1_800_000 }, async () => {
  const hostWrites = hostCalls.flatMap((name, at) => (name === 'writeSync' ? [at] : []))
  for (const index of positions(hostWrites.length, 2)) {
    const folder = await temporaryFolder()
    const faults = installHostFault({ folder, at: hostWrites[index] ?? -1, kind: 'short' })
    await run(join(folder, 'export'), TEST_ENVIRONMENT).finally(() => {
      faults.remove()
    })
    expect(await contents(join(folder, 'export'))).toEqual(undisturbed)
  }
  for (const at of positions(workerWrites, 2)) {
    const folder = await temporaryFolder()
    const { environment } = await withWorker(folder, { call: 'writeSync', at, kind: 'short' })
    await run(join(folder, 'export'), environment)
    expect(await contents(join(folder, 'export'))).toEqual(undisturbed)
  }
})

test('reads that fail end the run, reads that are short do not', { timeout: 1_800_000 }, async () => {
  for (const at of positions(workerReads, 2)) {
    const folder = await temporaryFolder()
    const outputPath = join(folder, 'export')
    const failing = await withWorker(folder, { call: 'readSync', at, kind: 'EIO' })
    await expect(run(outputPath, failing.environment)).rejects.toMatchObject({ code: 'READ_FAILED' })
    expect(existsSync(outputPath)).toBe(false)
    const short = await withWorker(folder, { call: 'readSync', at: 0, kind: 'short' })
    await run(outputPath, short.environment, true)
    expect(await contents(outputPath)).toEqual(undisturbed)
  }
})
