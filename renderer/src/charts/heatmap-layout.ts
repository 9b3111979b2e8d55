/** Sizes of the map's cells in CSS pixels, and which cell a point is in. Pure, so that it is tested without a page. */
export interface HeatmapLayout {
  readonly cellWidth: number
  readonly cellHeight: number
  readonly width: number
  readonly height: number
}

export interface HeatmapSpace {
  readonly rowCount: number
  readonly columnCount: number
  readonly availableWidth: number
  readonly availableHeight: number
  readonly devicePixelRatio: number
  /** @default 44 */
  readonly maximumCellWidth?: number
}

export interface Cell {
  readonly row: number
  readonly column: number
}

const MIN_CELL_HEIGHT = 3
const MAX_CELL_HEIGHT = 40
const MAX_CELL_WIDTH = 44
/** Below this many device pixels a column, whole pixels would waste too much of the width. */
const WHOLE_PIXEL_LIMIT = 2

/** Cells end on device pixels where there is room, so that all columns look equally wide; otherwise the width is used up. */
export function layoutHeatmap(space: HeatmapSpace): HeatmapLayout {
  const { rowCount, columnCount, availableWidth, availableHeight, devicePixelRatio } = space
  const { maximumCellWidth = MAX_CELL_WIDTH } = space
  if (rowCount <= 0 || columnCount <= 0 || availableWidth <= 0) {
    return { cellWidth: 0, cellHeight: 0, width: 0, height: 0 }
  }
  const deviceWidth = (availableWidth * devicePixelRatio) / columnCount
  const columnPixels = deviceWidth >= WHOLE_PIXEL_LIMIT ? Math.floor(deviceWidth) : deviceWidth
  const cellWidth = Math.min(maximumCellWidth, columnPixels / devicePixelRatio)
  const rowPixels = Math.floor((availableHeight * devicePixelRatio) / rowCount)
  const cellHeight = Math.min(MAX_CELL_HEIGHT, Math.max(MIN_CELL_HEIGHT, rowPixels / devicePixelRatio))
  return { cellWidth, cellHeight, width: cellWidth * columnCount, height: cellHeight * rowCount }
}

/** Cell under a point given in the map's own coordinates; undefined outside. */
export function cellAt(
  layout: HeatmapLayout,
  space: Pick<HeatmapSpace, 'rowCount' | 'columnCount'>,
  x: number,
  y: number,
): Cell | undefined {
  if (x < 0 || y < 0 || x >= layout.width || y >= layout.height) return undefined
  return {
    row: Math.min(space.rowCount - 1, Math.floor(y / layout.cellHeight)),
    column: Math.min(space.columnCount - 1, Math.floor(x / layout.cellWidth)),
  }
}

const STEPS: Readonly<Record<string, readonly [rows: number, columns: number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-10, 0],
  PageDown: [10, 0],
}

/** Cell that a key leads to from `from`; undefined for a key that means nothing here. Stays inside. */
export function stepCell(
  key: string,
  from: Cell | undefined,
  { rowCount, columnCount }: Pick<HeatmapSpace, 'rowCount' | 'columnCount'>,
): Cell | undefined {
  const row = from?.row ?? 0
  const column = from?.column ?? 0
  if (key === 'Home') return { row, column: 0 }
  if (key === 'End') return { row, column: columnCount - 1 }
  const step = STEPS[key]
  if (step === undefined) return undefined
  if (from === undefined) return { row: 0, column: 0 }
  return {
    row: Math.min(rowCount - 1, Math.max(0, row + step[0])),
    column: Math.min(columnCount - 1, Math.max(0, column + step[1])),
  }
}

/** Distance between axis labels so that they do not touch: 1, 2, 5, 10, … of at least `minimumPixels`. */
export function labelStep(cellPixels: number, minimumPixels: number): number {
  if (cellPixels <= 0) return 1
  for (let power = 1; power <= 10_000; power *= 10) {
    for (const factor of [1, 2, 5]) if (power * factor * cellPixels >= minimumPixels) return power * factor
  }
  return 100_000
}
