import { describe, expect, it } from 'vitest'
import { commandOf } from '../../../../renderer/src/app/shortcut-commands.ts'
import { summariseSteps } from '../../../../renderer/src/app/steps.ts'
import { moveInList } from '../../../../renderer/src/composables/move-in-list.ts'
import { makeReport, makeSnapshot } from '../snapshots.ts'

const nothing = { checkpointName: undefined, checkpointFailed: false, recipeName: 'r', job: undefined }

describe('summariseSteps', () => {
  it('says that nothing is there at first, although a default recipe exists', () => {
    expect(summariseSteps(nothing).map(({ detail, tone }) => `${detail}: ${tone}`)).toEqual([
      'none open: idle',
      'not chosen: idle',
      'not started: idle',
      'nothing yet: idle',
    ])
  })

  it('shows a failed opening as failed', () => {
    const [checkpoint] = summariseSteps({ ...nothing, checkpointFailed: true })
    expect(checkpoint).toMatchObject({ detail: 'cannot be opened', tone: 'bad' })
  })

  it('names the stage of a running job and has no result yet', () => {
    const job = makeSnapshot({ state: { kind: 'running', stage: 'export' } })
    const [, , run, result] = summariseSteps({ ...nothing, checkpointName: 'm', job })
    expect(run).toMatchObject({ detail: 'Quantize and write', tone: 'active' })
    expect(result).toMatchObject({ tone: 'idle' })
  })

  it('shows the size of a finished export and a failure as bad', () => {
    const done = makeSnapshot({ state: { kind: 'succeeded', report: makeReport({ outputBytes: 2 ** 30 }) } })
    expect(summariseSteps({ ...nothing, job: done })[3]).toMatchObject({ detail: '1 GiB', tone: 'ready' })
    const error = { code: 'DISK_FULL', kind: 'environment', subject: 's', problem: 'p', remedy: 'r' } as const
    const failed = makeSnapshot({ state: { kind: 'failed', error } })
    expect(summariseSteps({ ...nothing, job: failed })[2]).toMatchObject({ detail: 'Failed', tone: 'bad' })
  })
})

describe('moveInList', () => {
  it('goes round at both ends and to them', () => {
    expect(moveInList('ArrowDown', 3, 4)).toBe(0)
    expect(moveInList('ArrowUp', 0, 4)).toBe(3)
    expect(moveInList('Home', 2, 4)).toBe(0)
    expect(moveInList('End', 2, 4)).toBe(3)
    expect(moveInList('Tab', 2, 4)).toBeUndefined()
  })
})

describe('commandOf', () => {
  const press = { key: 'x', hasCommandKey: false, hasAlt: false, isTyping: false, hasSingleKeys: true }

  it('goes to the step of a digit', () => {
    expect(commandOf({ ...press, key: '3' })).toEqual({ kind: 'go', step: 'run' })
    expect(commandOf({ ...press, key: '5' })).toBeUndefined()
  })

  it('never takes letters from text fields, nor when single keys are off', () => {
    expect(commandOf({ ...press, key: 'o', isTyping: true })).toBeUndefined()
    expect(commandOf({ ...press, key: 'o', hasSingleKeys: false })).toBeUndefined()
    expect(commandOf({ ...press, key: 'O' })).toEqual({ kind: 'open_folder' })
  })

  it('leaves the shortcuts of the system alone: Ctrl+O, Ctrl+S, Alt+1', () => {
    expect(commandOf({ ...press, key: 'o', hasCommandKey: true })).toBeUndefined()
    expect(commandOf({ ...press, key: 's', hasCommandKey: true })).toBeUndefined()
    expect(commandOf({ ...press, key: '1', hasAlt: true })).toBeUndefined()
  })

  it('goes on with Ctrl+Enter even from a text field', () => {
    expect(commandOf({ ...press, key: 'Enter', hasCommandKey: true, isTyping: true })).toEqual({
      kind: 'go_on',
    })
  })
})
