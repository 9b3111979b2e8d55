/** A pause that keeps device or folder, ends the job, or costs bytes would show here; also a stop of the system, and who may continue it. */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { createEngineHost } from '../../../main/host/engine-host.ts'
import type { HostApi } from '../../../main/host/host-api.ts'
import type { JobId, JobSnapshot } from '../../../shared/domain/job.ts'
import { DEFAULT_RUN_OPTIONS } from '../../../shared/domain/run-options.ts'
import { hashExport, runForTest, TEST_ENVIRONMENT } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const OPTIONS = {
  recipe: 'nvfp4_default-kv_fp8',
  samples: 24,
  sequenceLength: 128,
  workers: 1,
  device: 'cpu',
} as const

/** A host, and a way to wait for what its job says. */
function makeHost(): {
  host: HostApi
  until: (accept: (snapshot: JobSnapshot) => boolean) => Promise<JobSnapshot>
} {
  const waiting: { accept: (snapshot: JobSnapshot) => boolean; resolve: (snapshot: JobSnapshot) => void }[] =
    []
  const host = createEngineHost({
    environment: TEST_ENVIRONMENT,
    emit: (_event, payload) => {
      if (!('state' in payload) || !('stages' in payload)) return
      for (const { accept, resolve } of waiting) if (accept(payload)) resolve(payload)
    },
  })
  return { host, until: (accept) => new Promise((resolve) => waiting.push({ accept, resolve })) }
}

const isCalibrating = ({ stages }: JobSnapshot): boolean =>
  stages.some(({ name, state, done }) => name === 'calibrate' && state === 'active' && done >= 1)
const is =
  (...kinds: readonly string[]) =>
  ({ state }: JobSnapshot): boolean =>
    kinds.includes(state.kind)

async function start(host: HostApi): Promise<{ jobId: JobId; outputPath: string }> {
  const outputPath = join(await temporaryFolder(), 'export')
  const request = { checkpointPath: SAMPLE, outputPath, options: { ...DEFAULT_RUN_OPTIONS, ...OPTIONS } }
  return { ...(await host['job.start'](request)), outputPath }
}

test('paused twice in the middle of a calibration, a run gives the bytes of an undisturbed one', async () => {
  const { host, until } = makeHost()
  let calibrating = until(isCalibrating)
  const { jobId, outputPath } = await start(host)
  for (let pause = 0; pause < 2; pause += 1) {
    await calibrating
    const paused = until(is('paused'))
    await host['job.pause']({ jobId })
    await paused
    // Nothing holds the folder any more, and the state on disk could be continued by another process as well.
    const [partial] = await host['partial.list']({ folders: [dirname(outputPath)] })
    expect(partial).toMatchObject({ state: 'resumable', recorded: { checkpointPath: SAMPLE } })
    calibrating = until(isCalibrating)
    if (pause === 0) await host['job.continue']({ jobId })
  }
  const ended = until(is('succeeded', 'failed', 'cancelled'))
  await host['job.continue']({ jobId })
  expect((await ended).state.kind).toBe('succeeded')
  const undisturbed = await runForTest({ options: OPTIONS })
  expect(await hashExport(outputPath)).toEqual(await hashExport(undisturbed.outputPath))
  expect(await readdir(dirname(outputPath))).toEqual(['export'])
})

test('a paused run can be cancelled, which leaves it to be continued, and the host ends while one is paused', async () => {
  const { host, until } = makeHost()
  for (const end of ['cancel', 'shutdown'] as const) {
    const calibrating = until(isCalibrating)
    const { jobId, outputPath } = await start(host)
    await calibrating
    const paused = until(is('paused'))
    await host['job.pause']({ jobId })
    await paused
    if (end === 'cancel') await host['job.cancel']({ jobId })
    else await host['host.shutdown']({})
    expect((await host['job.get']({ jobId })).state.kind).toBe('cancelled')
    expect(await readdir(dirname(outputPath))).toEqual(['export.partial'])
  }
})

test('two runs never write one folder at once', async () => {
  const { host, until } = makeHost()
  const calibrating = until(isCalibrating)
  const { jobId, outputPath } = await start(host)
  await calibrating
  for (const how of [{ canResume: true }, { canOverwrite: true }]) {
    const second = runForTest({ outputPath, options: OPTIONS, ...how })
    await expect(second).rejects.toMatchObject({ code: 'OUTPUT_IN_USE', subject: `${outputPath}.partial` })
  }
  const ended = until(is('succeeded', 'cancelled', 'failed'))
  await host['job.cancel']({ jobId })
  expect((await ended).state.kind).toBe('cancelled')
  await runForTest({ outputPath, options: OPTIONS, canResume: true })
})
