import { describe, expect, it } from 'vitest'
import { filterLog, joinLog, logText } from '../../../../../renderer/src/features/run/log-lines.ts'
import type { JobId, JobLogLine } from '../../../../../shared/domain/job.ts'
import { fc } from '../../../../tools/properties.ts'

function line(timeMs: number, level: JobLogLine['level'] = 'info'): JobLogLine {
  return { jobId: 'j_1' as JobId, timeMs, level, message: `m${String(timeMs)}` }
}

describe('joinLog', () => {
  it('takes lines that were fetched and also arrived once, in order', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.nat(20), fc.nat(20), (before, both, after) => {
        const all = Array.from({ length: before + both + after }, (_, index) => line(index))
        const joined = joinLog(all.slice(0, before + both), all.slice(before))
        expect(joined).toEqual(all)
      }),
    )
  })

  it('keeps both parts when they do not overlap', () => {
    expect(joinLog([line(1)], [line(2)])).toEqual([line(1), line(2)])
    expect(joinLog([], [line(2)])).toEqual([line(2)])
  })
})

describe('filterLog', () => {
  it('keeps the level and everything above it', () => {
    const lines = [line(1, 'debug'), line(2, 'warn'), line(3, 'error')]
    expect(filterLog(lines, 'warn', '').map(({ timeMs }) => timeMs)).toEqual([2, 3])
    expect(filterLog(lines, 'debug', '')).toHaveLength(3)
  })

  it('finds words in any case and order, within the level', () => {
    const said = (message: string, level: JobLogLine['level'] = 'info'): JobLogLine => ({
      ...line(1, level),
      message,
    })
    const lines = [said('Layer 12 on WebGPU'), said('layer 3 on cpu'), said('webgpu layer', 'debug')]
    expect(filterLog(lines, 'info', ' webgpu  LAYER').map(({ message }) => message)).toEqual([
      'Layer 12 on WebGPU',
    ])
    expect(filterLog(lines, 'debug', 'layer 4')).toEqual([])
  })
})

describe('logText', () => {
  it('is one line each with a time that sorts', () => {
    expect(logText([line(0), line(1500, 'error')])).toBe(
      '1970-01-01T00:00:00.000Z INFO m0\n1970-01-01T00:00:01.500Z ERROR m1500',
    )
  })
})
