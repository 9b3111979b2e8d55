/** A pause that ends the job, a continue that is lost or starts from nothing, an elapsed time that counts the pause: each would show here. */
import { expect, test } from 'vitest'
import { ControlledJob } from '../../../../main/host/jobs/controlled-job.ts'
import { JobRecord } from '../../../../main/host/jobs/job-record.ts'
import type { JobId, JobSnapshot, RunReport } from '../../../../shared/domain/job.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'

const REPORT = { recipe: 'nvfp4' } as RunReport
const stop = (): AppError => new AppError('CANCELLED', { subject: 'run', problem: 'p', remedy: 'r' })

/** A job whose attempts the test ends by hand. */
function makeJob() {
  const snapshots: JobSnapshot[] = []
  const attempts: { isContinued: boolean; end: (error?: AppError) => void }[] = []
  const record = new JobRecord({
    jobId: 'j_1' as JobId,
    checkpointName: 'tiny',
    recipe: 'nvfp4',
    publish: (snapshot) => snapshots.push(snapshot),
    publishLog: () => undefined,
  })
  const job = new ControlledJob(record, (isContinued) => {
    record.stageStarted('export', 10, 'bytes')
    return new Promise((resolve, reject) => {
      attempts.push({
        isContinued,
        end: (error) => {
          if (error === undefined) resolve(REPORT)
          else reject(error)
        },
      })
    })
  })
  const states = (): string[] =>
    snapshots.map(({ state }) => state.kind).filter((kind, index, all) => kind !== all[index - 1])
  return { job, record, attempts, states }
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('pause ends the attempt, continue makes another that goes on', async () => {
  const { job, record, attempts, states } = makeJob()
  job.pause()
  expect(record.isCancelled()).toBe(true)
  attempts[0]?.end(stop())
  await settled()
  expect(record.currentState).toEqual({ kind: 'paused', stage: 'export' })
  job.continue()
  await settled()
  expect(record.isCancelled()).toBe(false)
  expect(attempts.map(({ isContinued }) => isContinued)).toEqual([false, true])
  attempts[1]?.end()
  await job.done
  expect(states()).toEqual(['running', 'pausing', 'paused', 'running', 'succeeded'])
})

test('a continue that comes before the pause is reached is not lost', async () => {
  const { job, attempts } = makeJob()
  job.pause()
  job.continue()
  attempts[0]?.end(stop())
  await settled()
  expect(attempts).toHaveLength(2)
})

test('a continue of a running job does not undo a later pause', async () => {
  const { job, record, attempts } = makeJob()
  job.continue()
  job.pause()
  attempts[0]?.end(stop())
  await settled()
  expect(record.currentState.kind).toBe('paused')
  expect(attempts).toHaveLength(1)
})

test('cancel ends a job while it pauses and while it is paused', async () => {
  const pausing = makeJob()
  pausing.job.pause()
  pausing.job.cancel()
  pausing.attempts[0]?.end(stop())
  await pausing.job.done
  expect(pausing.record.currentState).toEqual({ kind: 'cancelled' })
  const paused = makeJob()
  paused.job.pause()
  paused.attempts[0]?.end(stop())
  await settled()
  paused.job.cancel()
  await paused.job.done
  expect(paused.record.currentState).toEqual({ kind: 'cancelled' })
  expect(paused.attempts).toHaveLength(1)
})

test('a run that fails or finishes before it notices the pause has failed or finished', async () => {
  const failing = makeJob()
  failing.job.pause()
  failing.attempts[0]?.end(new AppError('DISK_FULL', { subject: 'd', problem: 'p', remedy: 'r' }))
  await failing.job.done
  expect(failing.record.currentState).toMatchObject({ kind: 'failed', error: { code: 'DISK_FULL' } })
  const finishing = makeJob()
  finishing.job.pause()
  finishing.attempts[0]?.end()
  await finishing.job.done
  expect(finishing.record.currentState).toEqual({ kind: 'succeeded', report: REPORT })
})

test('the time of a pause is no time of the run', async () => {
  const { job, record, attempts } = makeJob()
  job.pause()
  attempts[0]?.end(stop())
  await settled()
  const before = record.snapshot().elapsedMs
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(record.snapshot().elapsedMs).toBe(before)
  job.continue()
  await settled()
  expect(record.snapshot().elapsedMs).toBeLessThan(before + 60)
})
