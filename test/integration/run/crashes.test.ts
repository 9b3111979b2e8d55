/**
 * Threads and the whole process dying at every file call that changes something, in turn: an export worker is replaced and its task repeated;
 * without its device worker, without any export worker and without its process a run ends, and continues to the bytes of an undisturbed one.
 * Here a few positions; all with QUANTMILL_FAULTS=all (`npm run fault-test`).
 */
import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cliRun, killAtCall } from '../../tools/faults/killed-process.ts'
import {
  contentsOf,
  countCase,
  EXHAUSTIVE_LIMIT,
  expectContinues,
  IS_EXHAUSTIVE,
  positions,
  printTally,
  runWithWorkerFault,
  SCENARIOS,
  type Scenario,
  type Undisturbed,
  undisturbedRun,
} from '../../tools/faults/fault-runs.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const SAMPLED = { 'without data': 2, calibrated: 1 } as const

afterAll(printTally)

describe.each(Object.keys(SCENARIOS) as Scenario[])('a run %s', (scenario) => {
  let undisturbed: Undisturbed
  beforeAll(async () => {
    undisturbed = await undisturbedRun(scenario)
  })
  const sampled = SAMPLED[scenario]

  test('an export worker that dies at a write is replaced', EXHAUSTIVE_LIMIT, async () => {
    for (const at of positions(undisturbed.workerCalls['export writeSync'], 1)) {
      const fault = { call: 'writeSync', at, kind: 'exit once' } as const
      const run = await runWithWorkerFault(scenario, undisturbed, 'export', fault)
      expect([run.outcome, run.hasHappened()], `write ${String(at)}`).toEqual(['done', true])
      expect(await contentsOf(run.outputPath), `write ${String(at)}`).toEqual(undisturbed.contents)
      countCase(`${scenario}: export worker dead at a write, replaced`)
    }
  })

  test('a process that dies at a call continues', EXHAUSTIVE_LIMIT, async () => {
    const { checkpointPath, hostCalls } = undisturbed
    const whole = join(await temporaryFolder(), 'export')
    expect(await cliRun(SCENARIOS[scenario], checkpointPath, whole)).toEqual([0, null])
    const contents = await contentsOf(whole)
    let at = 0
    // How often the journal is written depends on time: by hand, until a run ends before it comes to the call.
    const more = IS_EXHAUSTIVE ? hostCalls.length : 0
    for (at of positions(hostCalls.length + more, sampled)) {
      const folder = await temporaryFolder()
      const outputPath = join(folder, 'export')
      const [exitCode, signal] = await killAtCall(SCENARIOS[scenario], checkpointPath, outputPath, at)
      if (IS_EXHAUSTIVE && exitCode === 0) break
      const where = `call ${String(at)} of ${String(hostCalls.length)}`
      expect([exitCode, signal], where).toEqual([null, 'SIGKILL'])
      if (!existsSync(outputPath)) {
        expect(await cliRun(SCENARIOS[scenario], checkpointPath, outputPath, ['--resume'])).toEqual([0, null])
      }
      expect(await contentsOf(outputPath), where).toEqual(contents)
      expect(await readdir(folder), where).toEqual(['export'])
      countCase(`${scenario}: process killed at a call`)
    }
    expect(at, 'the last call was reached').toBeGreaterThanOrEqual(IS_EXHAUSTIVE ? hostCalls.length - 5 : 0)
  })
})

test('a device worker that dies at a write ends the run, which continues', EXHAUSTIVE_LIMIT, async () => {
  const scenario = 'calibrated'
  const undisturbed = await undisturbedRun(scenario)
  for (const at of positions(undisturbed.workerCalls['device writeSync'], 1)) {
    const fault = { call: 'writeSync', at, kind: 'exit' } as const
    const { outcome, outputPath } = await runWithWorkerFault(scenario, undisturbed, 'device', fault)
    expect(outcome, `write ${String(at)}`).toMatchObject({ code: 'WORKER_CRASHED' })
    await expectContinues(scenario, undisturbed, outputPath, `write ${String(at)}`)
    countCase(`${scenario}: device worker dead at a write`)
  }
})
