/** How much of the data is measured, and when; memory is shared so that the calibration keeps most of it. */
import { expect, test } from 'vitest'
import { measuredWindows, qualityLevel, shareStates } from '../../../../main/host/jobs/measure-quality.ts'

test.each([
  [64, 512, 16],
  [4, 512, 4],
  [3, 4096, 2],
  [2, 20_000, 1],
])('of %i windows of %i tokens %i are measured', (batch, time, measured) => {
  const ids = Int32Array.from({ length: batch * time }, (_, index) => index)
  const windows = measuredWindows({ batch, time, ids })
  expect([windows.batch, windows.time, windows.ids.length]).toEqual([measured, time, measured * time])
  expect(windows.ids.at(-1)).toBe(measured * time - 1)
})

test('everything where the run calibrates, nothing where it needs no data, otherwise as asked for', () => {
  expect(qualityLevel({}, true, {})).toBe('full')
  expect(qualityLevel({}, false, {})).toBe('off')
  expect(qualityLevel({ quality: 'off' }, true, {})).toBe('off')
  expect(qualityLevel({ quality: 'layers' }, false, {})).toBe('layers')
})

test('the second stream gets what it needs, a quarter of the limit at most', () => {
  const places = { limitBytes: 1000, scratchPath: 'scratch' }
  const windows = { batch: 1, time: 10, ids: new Int32Array(10) }
  // Two f32 vectors of a token: 80 bytes for one value each.
  expect(shareStates(places, { hiddenSize: 1 }, windows)).toEqual({
    first: { limitBytes: 920, scratchPath: 'scratch' },
    second: { limitBytes: 80, scratchPath: 'scratch-2' },
  })
  expect(shareStates(places, { hiddenSize: 8 }, windows).second.limitBytes).toBe(250)
})
