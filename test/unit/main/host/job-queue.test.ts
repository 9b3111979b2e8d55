/** Two runs at once, a place that is lost or taken twice, a removed job that starts after all: each would show here. */
import { beforeEach, expect, test } from 'vitest'
import { ControlledJob } from '../../../../main/host/jobs/controlled-job.ts'
import { JobQueue } from '../../../../main/host/jobs/job-queue.ts'
import { JobRecord } from '../../../../main/host/jobs/job-record.ts'
import type { JobId, RunReport } from '../../../../shared/domain/job.ts'
import { AppError } from '../../../../shared/errors/app-error.ts'

let queue: JobQueue
let started: string[]
let ends: Map<string, (error?: AppError) => void>

beforeEach(() => {
  queue = new JobQueue()
  started = []
  ends = new Map()
})

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const stop = (): AppError => new AppError('CANCELLED', { subject: 'run', problem: 'p', remedy: 'r' })

/** As the host makes a job. */
function enter(name: string): ControlledJob {
  const record = new JobRecord({
    jobId: name as JobId,
    checkpointName: name,
    recipe: 'r',
    publish: () => undefined,
    publishLog: () => undefined,
  })
  const run = (): Promise<RunReport> => {
    record.stageStarted('export', 1, 'bytes')
    started.push(name)
    return new Promise((resolve, reject) => {
      ends.set(name, (error) => (error === undefined ? resolve({} as RunReport) : reject(error)))
    })
  }
  const job = new ControlledJob(record, run, queue.enter(record))
  void job.done.then(() => queue.leave(record))
  return job
}

const positions = (jobs: readonly ControlledJob[]): readonly unknown[] =>
  jobs.map(({ record }) => record.snapshot().queuePosition)
const kinds = (jobs: readonly ControlledJob[]): readonly string[] =>
  jobs.map(({ record }) => record.currentState.kind)

test('one runs, the others wait in their order and move up', async () => {
  const jobs = ['a', 'b', 'c'].map(enter)
  await settled()
  expect(started).toEqual(['a'])
  expect(kinds(jobs)).toEqual(['running', 'queued', 'queued'])
  expect(positions(jobs)).toEqual([undefined, 1, 2])
  ends.get('a')?.()
  await settled()
  expect(started).toEqual(['a', 'b'])
  expect(positions(jobs)).toEqual([undefined, undefined, 1])
  ends.get('b')?.(new AppError('DISK_FULL', { subject: 's', problem: 'p', remedy: 'r' }))
  await settled()
  expect(kinds(jobs)).toEqual(['succeeded', 'failed', 'running'])
})

test('a job removed from the queue never starts, and those behind it move up', async () => {
  const jobs = ['a', 'b', 'c'].map(enter)
  jobs[1]?.cancel()
  await jobs[1]?.done
  expect(kinds(jobs)).toEqual(['running', 'cancelled', 'queued'])
  expect(positions(jobs).at(2)).toBe(1)
  ends.get('a')?.()
  await settled()
  expect(started).toEqual(['a', 'c'])
})

test('a paused run keeps the machine for whoever paused it', async () => {
  const [first] = ['a', 'b'].map(enter)
  first?.pause()
  ends.get('a')?.(stop())
  await settled()
  expect(first?.record.currentState.kind).toBe('paused')
  expect(started).toEqual(['a'])
})

test('cancelling everything, as at the end of the program, leaves nothing waiting', async () => {
  const jobs = ['a', 'b', 'c'].map(enter)
  for (const job of jobs) job.cancel()
  ends.get('a')?.(stop())
  await Promise.all(jobs.map(({ done }) => done))
  expect(kinds(jobs)).toEqual(['cancelled', 'cancelled', 'cancelled'])
  expect(started).toEqual(['a'])
})

// A clock that starts with the waiting has run longer than the time since the turn.
test('waiting does not count as elapsed', async () => {
  const [, second] = ['a', 'b'].map(enter)
  await new Promise((resolve) => setTimeout(resolve, 60))
  expect(second?.record.snapshot().elapsedMs).toBe(0)
  const turnMs = performance.now()
  ends.get('a')?.()
  await settled()
  const elapsedMs = second?.record.snapshot().elapsedMs
  expect(elapsedMs).toBeLessThanOrEqual(performance.now() - turnMs)
})
