import { expect, it } from 'vitest'
import { startAgainModes } from '../../../../../renderer/src/features/run/start-again.ts'

it('offers to continue only what is unfinished, and nothing where no output is in the way', () => {
  expect(startAgainModes({ code: 'OUTPUT_NOT_EMPTY', kind: 'input', subject: '/out/x.partial' })).toEqual([
    'resume',
    'overwrite',
  ])
  expect(startAgainModes({ code: 'OUTPUT_NOT_EMPTY', kind: 'input', subject: '/out/x' })).toEqual([
    'overwrite',
  ])
  expect(startAgainModes({ code: 'RESUME_MISMATCH', kind: 'input', subject: '/out/x.partial' })).toEqual([
    'overwrite',
  ])
  expect(startAgainModes({ code: 'WEIGHT_NOT_FINITE', kind: 'data', subject: 'lm_head.weight' })).toEqual([])
})

it('offers to continue what a full disk or a crash has ended', () => {
  expect(startAgainModes({ code: 'DISK_FULL', kind: 'environment', subject: '/out/x' })).toEqual(['resume'])
  expect(startAgainModes({ code: 'HOST_CRASHED', kind: 'environment', subject: 'engine host' })).toEqual([
    'resume',
  ])
})
