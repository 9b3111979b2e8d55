import { expect, it } from 'vitest'
import { startAgainModes } from '../../../../../renderer/src/features/run/start-again.ts'

it('offers to continue only what is unfinished, and nothing where no output is in the way', () => {
  expect(startAgainModes({ code: 'OUTPUT_NOT_EMPTY', subject: '/out/x.partial' })).toEqual([
    'resume',
    'overwrite',
  ])
  expect(startAgainModes({ code: 'OUTPUT_NOT_EMPTY', subject: '/out/x' })).toEqual(['overwrite'])
  expect(startAgainModes({ code: 'RESUME_MISMATCH', subject: '/out/x.partial' })).toEqual(['overwrite'])
  expect(startAgainModes({ code: 'DISK_FULL', subject: '/out/x.partial' })).toEqual([])
})
