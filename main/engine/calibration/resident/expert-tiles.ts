/**
 * Cuts the tokens of the experts of one unit into tiles of equal width, because a device multiplies a batch of equal matrices several times
 * faster than matrices one by one. Where routing is even, every expert gets one tile and its weight is used where it lies; where one expert
 * has far more tokens than the others it gets several, and the weights are picked for every tile.
 */
import type { RoutedRows } from '../hidden-states.ts'

export interface Tile extends RoutedRows {
  /** Index within the unit. */
  readonly expert: number
}

export interface TileRun {
  /** Rows of each tile; those behind the tokens of a tile mean nothing. */
  readonly width: number
  readonly tiles: readonly Tile[]
  /** False when tile t belongs to expert t of the unit. */
  readonly picksExperts: boolean
}

/** Widths are multiples of what one workgroup multiplies. */
const WIDTH_STEP = 32
const MAX_CANDIDATES = 64
/** What a run costs beside its rows, and what picking the weights adds, in rows that could have been multiplied meanwhile. */
const RUN_ROWS = 1024
const PICK_ROWS = 512

interface Candidate {
  readonly width: number
  readonly picksExperts: boolean
  readonly cost: number
}

/**
 * Runs for the tokens of `experts` (of a unit, in order; those without tokens included), each of at most `maxRows` rows and as many tiles as
 * there are experts. Empty when there are no tokens.
 */
export function planTiles(experts: readonly RoutedRows[], maxRows: number): readonly TileRun[] {
  const counts = experts.map(({ from, to }) => to - from)
  const largest = Math.max(0, ...counts)
  if (largest === 0) return []
  const { width, picksExperts } = cheapest(counts, largest, maxRows)
  if (!picksExperts) {
    return [{ width, picksExperts, tiles: experts.map((rows, expert) => ({ ...rows, expert })) }]
  }
  const tiles = experts.flatMap((rows, expert) => cut(rows, expert, width))
  const perRun = tilesPerRun(width, maxRows, experts.length)
  const runs: TileRun[] = []
  for (let first = 0; first < tiles.length; first += perRun) {
    runs.push({ width, picksExperts, tiles: tiles.slice(first, first + perRun) })
  }
  return runs
}

function cheapest(counts: readonly number[], largest: number, maxRows: number): Candidate {
  const steps = Math.max(1, Math.floor(Math.min(maxRows, largest + WIDTH_STEP - 1) / WIDTH_STEP))
  const stride = Math.ceil(steps / MAX_CANDIDATES)
  let best: Candidate | undefined
  for (let step = steps; step >= 1; step -= stride) {
    const candidate = weigh(counts, largest, Math.min(maxRows, step * WIDTH_STEP), maxRows)
    if (best === undefined || candidate.cost < best.cost) best = candidate
  }
  return best ?? weigh(counts, largest, Math.min(maxRows, WIDTH_STEP), maxRows)
}

function weigh(counts: readonly number[], largest: number, width: number, maxRows: number): Candidate {
  const tileCount = counts.reduce((sum, count) => sum + Math.ceil(count / width), 0)
  const runCount = Math.ceil(tileCount / tilesPerRun(width, maxRows, counts.length))
  const picked = { width, picksExperts: true, cost: tileCount * width + runCount * (RUN_ROWS + PICK_ROWS) }
  if (width < largest || counts.length * width > maxRows) return picked
  const inPlace = { width, picksExperts: false, cost: counts.length * width + RUN_ROWS }
  return inPlace.cost <= picked.cost ? inPlace : picked
}

/** No more than there are experts: the picked weights take no more memory than the weights themselves. */
function tilesPerRun(width: number, maxRows: number, expertCount: number): number {
  return Math.max(1, Math.min(expertCount, Math.floor(maxRows / width)))
}

function cut(routed: RoutedRows, expert: number, width: number): readonly Tile[] {
  const tiles: Tile[] = []
  for (let from = routed.from; from < routed.to; from += width) {
    tiles.push({ ...routed, expert, from, to: Math.min(routed.to, from + width) })
  }
  return tiles
}
