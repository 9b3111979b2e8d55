import { describe, expect, it } from 'vitest'
import { reportFacts } from '../../../../../renderer/src/features/report/report-facts.ts'
import { shownOfRun } from '../../../../../renderer/src/features/report/shown-report.ts'
import { formatRanges, groupUncovered } from '../../../../../shared/domain/uncovered-layers.ts'
import { makeReport } from '../../snapshots.ts'

describe('groupUncovered', () => {
  it('puts experts of a layer together, apart by fallback, in ascending order', () => {
    const experts = [
      { layerIndex: 3, expertIndex: 9, fallback: 'layer' },
      { layerIndex: 0, expertIndex: 4, fallback: 'layer' },
      { layerIndex: 3, expertIndex: 2, fallback: 'layer' },
      { layerIndex: 3, expertIndex: 1, fallback: 'weights' },
    ]
    expect(groupUncovered(experts)).toEqual([
      { layerIndex: 0, fallback: 'layer', expertIndices: [4] },
      { layerIndex: 3, fallback: 'layer', expertIndices: [2, 9] },
      { layerIndex: 3, fallback: 'weights', expertIndices: [1] },
    ])
  })
})

describe('formatRanges', () => {
  it('writes neighbours as a range', () => {
    expect(formatRanges([1, 2, 3, 7, 9, 10])).toBe('1–3, 7, 9–10')
    expect(formatRanges([])).toBe('')
  })
})

describe('reportFacts', () => {
  it('says that no data was used where none was, and does not divide by an empty source', () => {
    const facts = reportFacts(shownOfRun('tiny', makeReport({ calibratedTokens: 0, sourceBytes: 0 })))
    expect(facts.find(({ name }) => name === 'Calibrated on')?.value).toBe('no data')
    expect(facts.find(({ name }) => name === 'Bytes read')?.detail).toBe('')
  })
})
