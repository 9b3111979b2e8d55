/** A job that leaves a final state, or a cancel that is lost, would show here. */
import { describe, expect, test } from 'vitest'
import {
  isFinished,
  transition,
  type JobEvent,
  type JobState,
  type RunReport,
} from '../../../shared/domain/job.ts'

const error = { code: 'DISK_FULL', kind: 'environment', subject: 'd', problem: 'p', remedy: 'r' } as const
const report = {} as RunReport
const EVENTS: readonly JobEvent[] = [
  { kind: 'stage_started', stage: 'export' },
  { kind: 'cancel_requested' },
  { kind: 'cancelled' },
  { kind: 'failed', error },
  { kind: 'succeeded', report },
]
const FINAL: readonly JobState[] = [
  { kind: 'cancelled' },
  { kind: 'failed', error },
  { kind: 'succeeded', report },
]

describe('transition', () => {
  test('final states are final', () => {
    for (const state of FINAL) for (const event of EVENTS) expect(transition(state, event)).toBe(state)
  })

  test('a stage that starts while cancelling does not undo the cancel', () => {
    const cancelling: JobState = { kind: 'cancelling', stage: 'export' }
    expect(transition(cancelling, { kind: 'stage_started', stage: 'seal' })).toBe(cancelling)
  })

  test('a queued job is cancelled at once, a running one cooperatively', () => {
    expect(transition({ kind: 'queued' }, { kind: 'cancel_requested' })).toEqual({ kind: 'cancelled' })
    expect(transition({ kind: 'running', stage: 'export' }, { kind: 'cancel_requested' })).toEqual({
      kind: 'cancelling',
      stage: 'export',
    })
  })

  test('a run that finished before it noticed the cancel has succeeded', () => {
    const done = transition({ kind: 'cancelling', stage: 'verify' }, { kind: 'succeeded', report })
    expect(done.kind).toBe('succeeded')
    expect(isFinished(done)).toBe(true)
  })
})
