import { describe, expect, it } from 'vitest'
import { ThroughputHistory } from '../../../../../renderer/src/features/run/throughput.ts'

describe('ThroughputHistory', () => {
  it('stays bounded over a day of updates and still spans the whole run in ascending order', () => {
    const history = new ThroughputHistory()
    for (let elapsedMs = 100; elapsedMs <= 86_400_000; elapsedMs += 1_000) history.add(elapsedMs, elapsedMs)
    const { x, y } = history.series()
    expect(history.count).toBeLessThanOrEqual(600)
    expect(history.count).toBeGreaterThan(250)
    expect(x[0]).toBe(0.1)
    expect(x[x.length - 1]).toBeGreaterThan(86_000)
    for (let index = 1; index < x.length; index += 1) expect(x[index]).toBeGreaterThan(x[index - 1])
    expect(y[5]).toBe(Math.round(x[5] * 1000))
  })

  it('ignores a sample that is not later than the last', () => {
    const history = new ThroughputHistory()
    expect(history.add(1_000, 5)).toBe(true)
    expect(history.add(1_000, 6)).toBe(false)
    expect([...history.series().y]).toEqual([5])
  })
})
