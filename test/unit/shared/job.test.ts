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
  { kind: 'pause_requested' },
  { kind: 'paused' },
  { kind: 'continued' },
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

  test('a stage that starts while pausing does not undo the pause, and none starts while paused', () => {
    for (const kind of ['pausing', 'paused'] as const) {
      const state: JobState = { kind, stage: 'export' }
      expect(transition(state, { kind: 'stage_started', stage: 'seal' })).toBe(state)
    }
  })

  test('only what was asked to pause pauses, and only what is paused continues', () => {
    const running: JobState = { kind: 'running', stage: 'calibrate' }
    expect(transition(running, { kind: 'paused' })).toBe(running)
    expect(transition(running, { kind: 'continued' })).toBe(running)
    const queued: JobState = { kind: 'queued' }
    expect(transition(queued, { kind: 'pause_requested' })).toBe(queued)
    const cancelling: JobState = { kind: 'cancelling', stage: 'export' }
    expect(transition(cancelling, { kind: 'paused' })).toBe(cancelling)
    expect(transition({ kind: 'paused', stage: 'export' }, { kind: 'continued' })).toEqual({
      kind: 'running',
      stage: 'export',
    })
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
