/** Time that remains: wrong by a factor where progress comes in bursts, or where an earlier attempt's work counts as this one's speed. */
import { describe, expect, test } from 'vitest'
import { JobRecord } from '../../../../main/host/jobs/job-record.ts'
import { ProgressRate } from '../../../../main/host/jobs/progress-rate.ts'
import type { JobId, JobSnapshot } from '../../../../shared/domain/job.ts'

describe('a rate', () => {
  test('is unknown before two samples, and before anything has been done', () => {
    const rate = new ProgressRate({ spanMs: 10_000, spanDone: 0 })
    expect(rate.rate(0)).toBeUndefined()
    rate.add(0, 5)
    expect(rate.rate(1_000)).toBeUndefined()
    rate.add(1_000, 5)
    expect(rate.rate(1_000)).toBeUndefined()
    rate.add(2_000, 9)
    expect(rate.rate(2_000)).toBe(0.002)
  })

  test('follows a change of speed within its window', () => {
    const rate = new ProgressRate({ spanMs: 10_000, spanDone: 0 })
    for (let second = 0; second <= 60; second += 1) rate.add(second * 1000, second * 100)
    for (let second = 61; second <= 80; second += 1) rate.add(second * 1000, 6_000 + (second - 60) * 10)
    expect(rate.rate(80_000)).toBeCloseTo(0.01, 6)
    expect(rate.remaining(80_000, 7_200)).toBeCloseTo(100_000, 0)
  })

  test('bursts with long pauses between them are averaged over whole ones', () => {
    const rate = new ProgressRate({ spanMs: 10_000, spanDone: 2 })
    const remaining: (number | undefined)[] = []
    // A layer a minute, all of its progress in the last second.
    for (let layer = 0; layer < 10; layer += 1) {
      for (let tenth = 1; tenth <= 10; tenth += 1) {
        rate.add(layer * 60_000 + 59_000 + tenth * 100, layer + tenth / 10)
      }
      remaining.push(rate.remaining((layer + 1) * 60_000 + 30_000, 60))
    }
    // After ten of sixty layers, half a minute into the next: 49.5 minutes.
    expect((remaining.at(-1) ?? 0) / 60_000).toBeGreaterThan(45)
    expect((remaining.at(-1) ?? 0) / 60_000).toBeLessThan(70)
  })

  test('the time that remains goes on between samples and never below zero', () => {
    const rate = new ProgressRate({ spanMs: 10_000, spanDone: 0 })
    rate.add(0, 0)
    rate.add(1_000, 1)
    expect(rate.remaining(1_000, 10)).toBe(9_000)
    expect(rate.remaining(60_000, 2)).toBeLessThanOrEqual(59_000)
    expect(rate.remaining(1_000, 0)).toBe(0)
  })
})

describe('a job', () => {
  function record(): JobRecord {
    const job = new JobRecord({
      jobId: 'j_1' as JobId,
      checkpointName: 'm',
      recipe: 'r',
      publish: (_snapshot: JobSnapshot) => undefined,
      publishLog: () => undefined,
    })
    job.setModel(4, 2)
    return job
  }
  const pause = (milliseconds: number): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, milliseconds))

  test('what an earlier attempt finished is no speed', async () => {
    const job = record()
    job.stageStarted('export', 1_000_000, 'bytes')
    job.stageProgress('export', 400_000, true)
    job.stageProgress('export', 900_000, true)
    await pause(80)
    job.stageProgress('export', 900_001)
    const { bytesPerSecond, stages } = job.snapshot()
    expect(stages.find(({ name }) => name === 'export')?.done).toBe(900_001)
    expect(bytesPerSecond).toBeLessThan(100)
  })

  test('while layers are calibrated, what remains follows from them and not from the bytes behind them', async () => {
    const job = record()
    job.stageStarted('export', 1_000_000_000, 'bytes')
    job.stageStarted('calibrate', 4, 'layers')
    job.stageProgress('calibrate', 0)
    await pause(80)
    job.stageProgress('calibrate', 1)
    // Bytes that would take hours at their pace.
    job.stageProgress('export', 10)
    await pause(60)
    job.stageProgress('export', 11)
    const { etaMs } = job.snapshot()
    expect(etaMs).toBeGreaterThan(0)
    expect(etaMs).toBeLessThan(60_000)
  })
})
