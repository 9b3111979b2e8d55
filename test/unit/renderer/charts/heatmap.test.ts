import { describe, expect, it } from 'vitest'
import { cellAt, labelStep, layoutHeatmap, stepCell } from '../../../../renderer/src/charts/heatmap-layout.ts'
import { legendTicks, paintHeatmap, scalePosition } from '../../../../renderer/src/charts/heatmap-pixels.ts'

const ramp = Uint32Array.from({ length: 256 }, (_, index) => 1000 + index)
const colours = { ramp, zero: 1, unknown: 2 }

describe('paintHeatmap', () => {
  it('keeps rows and columns apart and marks missing rows, missing cells and zeros', () => {
    const pixels = new Uint32Array(9)
    paintHeatmap(pixels, [[0, 10, 5], undefined, [10]], 3, { colours, maximum: 10, scale: 'linear' })
    expect([...pixels]).toEqual([1, 1255, 1128, 2, 2, 2, 1255, 2, 2])
  })

  it('shows NaN as unknown and does not leave the ramp above the maximum', () => {
    const pixels = new Uint32Array(2)
    paintHeatmap(pixels, [[Number.NaN, 99]], 2, { colours, maximum: 10, scale: 'log' })
    expect([...pixels]).toEqual([2, 1255])
  })

  it('uses the logarithm: half of the scale is reached at the square root', () => {
    const pixels = new Uint32Array(1)
    paintHeatmap(pixels, [[9]], 1, { colours, maximum: 99, scale: 'log' })
    expect([...pixels]).toEqual([1128])
    expect(scalePosition(9, 99, 'log')).toBeCloseTo(0.5, 12)
    expect(scalePosition(9, 0, 'log')).toBe(0)
  })
})

describe('legendTicks', () => {
  it('ends with the maximum and leaves out a power of ten that would touch it', () => {
    expect(legendTicks(13_731, 'log')).toEqual([1, 10, 100, 1000, 13_731])
    expect(legendTicks(3_967, 'log')).toEqual([1, 10, 100, 3_967])
    expect(legendTicks(1, 'log')).toEqual([1])
    expect(legendTicks(80, 'linear')).toEqual([0, 40, 80])
    expect(legendTicks(0, 'log')).toEqual([])
  })
})

describe('layoutHeatmap', () => {
  it('gives whole device pixels to columns where there is room', () => {
    const layout = layoutHeatmap({
      rowCount: 60,
      columnCount: 512,
      availableWidth: 1640,
      availableHeight: 540,
      devicePixelRatio: 1,
    })
    expect(layout).toEqual({ cellWidth: 3, cellHeight: 9, width: 1536, height: 540 })
  })

  it('uses the whole width where columns are narrower than two pixels', () => {
    const layout = layoutHeatmap({
      rowCount: 60,
      columnCount: 512,
      availableWidth: 900,
      availableHeight: 60,
      devicePixelRatio: 1,
    })
    expect(layout.width).toBe(900)
    expect(layout.cellHeight).toBe(3)
  })

  it('has no size before the page has one', () => {
    const space = { rowCount: 4, columnCount: 8, availableWidth: 0, availableHeight: 0, devicePixelRatio: 1 }
    expect(layoutHeatmap(space)).toEqual({ cellWidth: 0, cellHeight: 0, width: 0, height: 0 })
  })
})

describe('cells', () => {
  const layout = { cellWidth: 10, cellHeight: 5, width: 40, height: 15 }
  const space = { rowCount: 3, columnCount: 4 }

  it('belong to the points inside and to none outside', () => {
    expect(cellAt(layout, space, 0, 0)).toEqual({ row: 0, column: 0 })
    expect(cellAt(layout, space, 39.9, 14.9)).toEqual({ row: 2, column: 3 })
    expect(cellAt(layout, space, 40, 3)).toBeUndefined()
    expect(cellAt(layout, space, -1, 3)).toBeUndefined()
  })

  it('are walked by keys without leaving the map', () => {
    expect(stepCell('ArrowRight', undefined, space)).toEqual({ row: 0, column: 0 })
    expect(stepCell('ArrowRight', { row: 1, column: 3 }, space)).toEqual({ row: 1, column: 3 })
    expect(stepCell('PageDown', { row: 0, column: 1 }, space)).toEqual({ row: 2, column: 1 })
    expect(stepCell('Home', { row: 2, column: 3 }, space)).toEqual({ row: 2, column: 0 })
    expect(stepCell('x', { row: 2, column: 3 }, space)).toBeUndefined()
  })
})

describe('labelStep', () => {
  it('is the next of 1, 2, 5, 10 … that leaves room for a label', () => {
    expect(labelStep(2, 34)).toBe(20)
    expect(labelStep(31, 34)).toBe(2)
    expect(labelStep(40, 34)).toBe(1)
    expect(labelStep(0, 34)).toBe(1)
  })
})
