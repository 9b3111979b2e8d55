import { describe, expect, it } from 'vitest'
import { commandOf, keysOf } from '../../../../renderer/src/app/shortcut-commands.ts'
import { matchEntries } from '../../../../renderer/src/app/palette-match.ts'
import { summariseSteps } from '../../../../renderer/src/app/steps.ts'
import { moveInList } from '../../../../renderer/src/composables/move-in-list.ts'
import { COMMAND_LIST } from '../../../../shared/domain/app-command.ts'
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
  const press = {
    key: 'x',
    hasCommandKey: false,
    hasAlt: false,
    hasShift: false,
    isTyping: false,
    hasSingleKeys: true,
  }

  it('goes to the step of a digit', () => {
    expect(commandOf({ ...press, key: '3' })).toBe('go_run')
    expect(commandOf({ ...press, key: '5' })).toBeUndefined()
  })

  it('never takes letters from text fields, nor when single keys are off', () => {
    expect(commandOf({ ...press, key: 'o', isTyping: true })).toBeUndefined()
    expect(commandOf({ ...press, key: 'o', hasSingleKeys: false })).toBeUndefined()
    expect(commandOf({ ...press, key: 'O' })).toBe('open_folder')
  })

  it('leaves the shortcuts of the system alone: Ctrl+O, Ctrl+S, Alt+1', () => {
    expect(commandOf({ ...press, key: 'o', hasCommandKey: true })).toBeUndefined()
    expect(commandOf({ ...press, key: 's', hasCommandKey: true })).toBeUndefined()
    expect(commandOf({ ...press, key: '1', hasAlt: true })).toBeUndefined()
  })

  it('opens the palette with Ctrl+K, even from a text field, and leaves Ctrl+Shift+K to the system', () => {
    const pressed = { ...press, key: 'k', hasCommandKey: true, isTyping: true }
    expect(commandOf(pressed)).toBe('show_palette')
    expect(commandOf({ ...pressed, hasShift: true })).toBeUndefined()
    expect(commandOf({ ...press, key: ',', hasCommandKey: true })).toBe('go_settings')
  })

  it('shows the keys of the menu only where there is a menu', () => {
    const command = { id: 'x', accelerator: 'CmdOrCtrl+Shift+O', key: 's', isMenuOnly: true }
    const surface = { hasMenu: true, isMac: false, hasSingleKeys: true }
    expect(keysOf(command, surface)).toEqual(['Ctrl+Shift+O', 'S'])
    expect(keysOf(command, { ...surface, isMac: true })).toEqual(['⌘⇧O', 'S'])
    expect(keysOf(command, { ...surface, hasMenu: false })).toEqual(['S'])
    expect(keysOf(command, { ...surface, hasMenu: false, hasSingleKeys: false })).toEqual([])
  })

  // Two commands on one key: the second could never be reached.
  it('gives every key to one command only', () => {
    const keys = COMMAND_LIST.flatMap(({ accelerator, key }) => [accelerator, key]).filter(
      (entry) => entry !== undefined,
    )
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('goes on with Ctrl+Enter even from a text field', () => {
    expect(commandOf({ ...press, key: 'Enter', hasCommandKey: true, isTyping: true })).toBe('go_on')
  })
})

describe('matchEntries', () => {
  const entry = (title: string, detail = '', isEnabled = true) => ({ title, detail, isEnabled })
  const titles = (query: string): readonly string[] =>
    matchEntries(
      [
        entry('Pause the run', '', false),
        entry('Go on to start the run'),
        entry('Go to Run'),
        entry('Open model', '~/runs/model'),
        entry('Run again'),
      ],
      query,
    ).map(({ title }) => title)

  it('finds words in any order in title and detail; what begins with them first, what cannot be done last', () => {
    expect(titles('run')).toEqual([
      'Run again',
      'Go on to start the run',
      'Go to Run',
      'Open model',
      'Pause the run',
    ])
    expect(titles('RUN to')).toEqual(['Go on to start the run', 'Go to Run'])
    expect(titles('go to r')).toEqual(['Go to Run', 'Go on to start the run'])
    expect(titles('nothing')).toEqual([])
  })
})
