/**
 * Every file call of a run that changes something, failing in turn: a full disk, an input/output error, a lost right, a write that is shorter
 * than asked. The run must end with the error that says so (or, after a short write, as if nothing had been), nothing may stand under the final
 * name, and continuing must give the bytes of an undisturbed run. Here a few positions; all with QUANTMILL_FAULTS=all (`npm run fault-test`).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeFaultyWorker } from '../../tools/faults/faulty-worker.ts'
import {
  contentsOf,
  countCase,
  EXHAUSTIVE_LIMIT,
  expectContinues,
  IS_EXHAUSTIVE,
  outcomeOf,
  positions,
  printTally,
  runFaulty,
  runWithWorkerFault,
  SCENARIOS,
  type Scenario,
  type Undisturbed,
  undisturbedRun,
  type WorkerName,
} from '../../tools/faults/fault-runs.ts'
import { installHostFault, type FaultKind } from '../../tools/faults/host-faults.ts'
import { TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const CODES = { ENOSPC: 'DISK_FULL', EIO: 'WRITE_FAILED', EACCES: 'PERMISSION_DENIED' } as const
const KINDS = ['ENOSPC', 'EIO', 'EACCES'] as const
const COMMON_CALLS = ['mkdir', 'rm', 'open', 'appendFile', 'truncate', 'writeSync', 'writeFile', 'datasync']
const LAST_CALLS = ['sync', 'copyFile', 'chmod', 'rename']
/** Positions in `npm test`, for the other kinds one; a calibrated run takes longer. */
const SAMPLED = { 'without data': 3, calibrated: 1 } as const
const SAMPLED_KINDS = { 'without data': KINDS, calibrated: ['ENOSPC'] } as const

afterAll(printTally)

describe.each(Object.keys(SCENARIOS) as Scenario[])('a run %s', (scenario) => {
  let undisturbed: Undisturbed
  beforeAll(async () => {
    undisturbed = await undisturbedRun(scenario)
  })
  const sampled = SAMPLED[scenario]
  const kinds = IS_EXHAUSTIVE ? KINDS : SAMPLED_KINDS[scenario]
  const workers: readonly WorkerName[] = scenario === 'calibrated' ? ['export', 'device'] : ['export']

  test('its calls are seen', () => {
    expect(new Set(undisturbed.hostCalls)).toEqual(new Set([...COMMON_CALLS, ...LAST_CALLS]))
    const { workerCalls } = undisturbed
    expect(workerCalls['export writeSync']).toBeGreaterThan(30)
    // Without data the device worker is not started; with data it reads the experts, spills states and keeps one layer boundary.
    const isCalibrated = scenario === 'calibrated'
    expect(workerCalls[`${isCalibrated ? 'device' : 'export'} readSync`]).toBeGreaterThan(20)
    expect(workerCalls['device writeSync'] > 5).toBe(isCalibrated)
  })

  test.each(kinds)('%s at calls of the host', EXHAUSTIVE_LIMIT, async (kind) => {
    for (const at of positions(undisturbed.hostCalls.length, kind === 'ENOSPC' ? sampled : 1)) {
      await failAtHost(scenario, undisturbed, at, kind)
      countCase(`${scenario}: ${kind} at a call of the host`)
    }
  })

  test.each(kinds)('%s at writes of a worker', EXHAUSTIVE_LIMIT, async (kind) => {
    for (const worker of workers) {
      for (const at of positions(undisturbed.workerCalls[`${worker} writeSync`], Math.ceil(sampled / 2))) {
        const where = `${worker} worker, write ${String(at)}`
        const { outputPath, outcome } = await runWithWorkerFault(scenario, undisturbed, worker, {
          call: 'writeSync',
          at,
          kind,
        })
        expect(outcome, where).toMatchObject({ code: CODES[kind] })
        await expectContinues(scenario, undisturbed, outputPath, where)
        countCase(`${scenario}: ${kind} at a write of the ${worker} worker`)
      }
    }
  })

  test('writes that are shorter than asked are completed', EXHAUSTIVE_LIMIT, async () => {
    const hostWrites = undisturbed.hostCalls.flatMap((name, at) => (name === 'writeSync' ? [at] : []))
    for (const index of positions(hostWrites.length, Math.ceil(sampled / 2))) {
      const folder = await temporaryFolder()
      const outputPath = join(folder, 'export')
      const faults = installHostFault({ folder, at: hostWrites[index] ?? -1, kind: 'short' })
      await runFaulty(scenario, undisturbed.checkpointPath, outputPath).finally(() => {
        faults.remove()
      })
      expect(await contentsOf(outputPath)).toEqual(undisturbed.contents)
      countCase(`${scenario}: short write of the host`)
    }
    for (const worker of workers) {
      for (const at of positions(undisturbed.workerCalls[`${worker} writeSync`], Math.ceil(sampled / 2))) {
        const fault = { call: 'writeSync', at, kind: 'short' } as const
        const { outputPath, outcome } = await runWithWorkerFault(scenario, undisturbed, worker, fault)
        expect(outcome).toBe('done')
        expect(await contentsOf(outputPath)).toEqual(undisturbed.contents)
        countCase(`${scenario}: short write of the ${worker} worker`)
      }
    }
  })

  test('reads that fail end the run, reads that are short do not', EXHAUSTIVE_LIMIT, async () => {
    for (const worker of workers) {
      for (const at of positions(undisturbed.workerCalls[`${worker} readSync`], Math.ceil(sampled / 2))) {
        const where = `${worker} worker, read ${String(at)}`
        const failing = { call: 'readSync', at, kind: 'EIO' } as const
        const { outputPath, outcome, hasHappened } = await runWithWorkerFault(
          scenario,
          undisturbed,
          worker,
          failing,
        )
        // The smoke test reads in a thread of its own, and the count is over all threads: the last numbers are reached by none.
        if (!hasHappened()) {
          expect([at >= undisturbed.workerCalls[`${worker} readSync`] - 3, outcome], where).toEqual([
            true,
            'done',
          ])
          continue
        }
        expect(outcome, where).toMatchObject({ code: 'READ_FAILED' })
        expect(existsSync(outputPath), where).toBe(false)
        const short = await makeFaultyWorker(await temporaryFolder(), worker, { ...failing, kind: 'short' })
        const environment = { ...TEST_ENVIRONMENT, [`${worker}WorkerFile`]: short.file }
        await runFaulty(scenario, undisturbed.checkpointPath, outputPath, environment, true)
        expect(await contentsOf(outputPath), where).toEqual(undisturbed.contents)
        countCase(`${scenario}: failed and short read of the ${worker} worker`)
      }
    }
  })
})

test.each(['lock', 'run.json', 'journal.jsonl'])(
  'a run that cannot remove %s is not finished yet',
  async (removalOf) => {
    const undisturbed = await undisturbedRun('without data')
    const folder = await temporaryFolder()
    const outputPath = join(folder, 'export')
    const faults = installHostFault({ folder, at: { removalOf }, kind: 'EIO' })
    const outcome = await outcomeOf(runFaulty('without data', undisturbed.checkpointPath, outputPath))
    faults.remove()
    expect(outcome).toMatchObject({ code: 'WRITE_FAILED' })
    await expectContinues('without data', undisturbed, outputPath, removalOf)
  },
)

async function failAtHost(
  scenario: Scenario,
  undisturbed: Undisturbed,
  at: number,
  kind: Exclude<FaultKind, 'short' | 'kill'>,
): Promise<void> {
  const folder = await temporaryFolder()
  const outputPath = join(folder, 'export')
  const faults = installHostFault({ folder, at, kind })
  const outcome = await outcomeOf(runFaulty(scenario, undisturbed.checkpointPath, outputPath))
  faults.remove()
  // How often the journal is written depends on time, so a number at the end may not be reached.
  const call = faults.calls[at] ?? 'not reached'
  const where = `${call}, call ${String(at)}`
  if (outcome === 'done') {
    // What only tidies up, or makes a name durable that is there already, does not undo an export that is complete.
    expect(['rm', 'sync', 'not reached'], where).toContain(call)
    expect(await contentsOf(outputPath), where).toEqual(undisturbed.contents)
    return
  }
  expect(outcome, `${where}: ${String(outcome)}`).toMatchObject({ code: CODES[kind] })
  await expectContinues(scenario, undisturbed, outputPath, where)
}
