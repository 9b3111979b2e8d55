import { beforeEach, expect, test } from 'vitest'
import { RunPresence } from '../../../../main/app/run-presence.ts'
import type { JobId, JobSnapshot, JobState, RunReport, StageName } from '../../../../shared/domain/job.ts'
import { fakeSnapshot } from '../../../fakes/fake-host.ts'

let done: string[] = []
let isFocused = false
let presence: RunPresence

beforeEach(() => {
  done = []
  isFocused = false
  presence = new RunPresence({
    setProgress: (share, mode) => done.push(`bar ${String(share)} ${mode}`),
    preventSleep: () => {
      done.push('awake')
      return () => done.push('may sleep')
    },
    isWindowFocused: () => isFocused,
    notify: (title, body) => done.push(`${title}: ${body}`),
  })
})

const job = (state: JobState, share = 0, jobId = 'j_1'): JobSnapshot => {
  const stage: StageName = 'stage' in state ? state.stage : 'export'
  return fakeSnapshot(jobId as JobId, {
    state,
    stages: [{ name: stage, state: 'active', done: share * 1000, total: 1000, unit: 'bytes' }],
  })
}
const running = (share: number, jobId?: string): JobSnapshot =>
  job({ kind: 'running', stage: 'export' }, share, jobId)
const succeeded = job({ kind: 'succeeded', report: {} as RunReport })
const error = {
  code: 'DISK_FULL',
  kind: 'environment',
  subject: 's',
  problem: 'no room',
  remedy: 'r',
} as const

test('a run keeps the machine awake and fills the bar until it ends', () => {
  for (const share of [0.25, 0.253, 0.5]) presence.observe(running(share))
  presence.observe(succeeded)
  expect(done).toEqual([
    'awake',
    'bar 0.25 normal',
    'bar 0.5 normal',
    'The export is finished: tiny, nvfp4',
    'may sleep',
    'bar -1 normal',
  ])
})

test('a paused run lets the machine sleep and says so on the bar', () => {
  presence.observe(running(0.5))
  presence.observe(job({ kind: 'paused', stage: 'export' }, 0.5))
  expect(done.slice(2)).toEqual(['may sleep', 'bar 0.5 paused'])
  presence.observe(running(0.5))
  expect(done.slice(4)).toEqual(['awake', 'bar 0.5 normal'])
})

// Catches the machine going to sleep, or the bar going away, between two runs of the queue.
test('a queue stays awake until its last run has ended', () => {
  presence.observe(running(0.5))
  presence.observe(job({ kind: 'queued' }, 0, 'j_2'))
  presence.observe(running(0, 'j_2'))
  presence.observe(succeeded)
  expect(done).not.toContain('may sleep')
  presence.observe({ ...succeeded, jobId: 'j_2' as JobId })
  expect(done.slice(-2)).toEqual(['may sleep', 'bar -1 normal'])
})

test('a stage whose length is not known shows work without a share', () => {
  presence.observe(job({ kind: 'running', stage: 'plan' }))
  expect(done).toContain('bar 2 normal')
})

test('a failure is told with its reason; a cancelled run and a run that is watched are not', () => {
  presence.observe(job({ kind: 'failed', error }))
  expect(done).toContain('The run failed: tiny, nvfp4: no room')
  done = []
  presence.observe(job({ kind: 'cancelled' }, 0, 'j_2'))
  isFocused = true
  presence.observe({ ...succeeded, jobId: 'j_3' as JobId })
  expect(done.filter((entry) => entry.includes(':'))).toEqual([])
})

test('an end is told once', () => {
  presence.observe(succeeded)
  presence.observe(succeeded)
  expect(done.filter((entry) => entry.startsWith('The export'))).toHaveLength(1)
})
