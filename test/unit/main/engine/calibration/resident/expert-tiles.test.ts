/** A token that is in no tile, or in two, would be left out of an expert's statistics or counted twice. */
import { describe, expect, test } from 'vitest'
import { planTiles } from '../../../../../../main/engine/calibration/resident/expert-tiles.ts'
import type { RoutedRows } from '../../../../../../main/engine/calibration/hidden-states.ts'
import { fc, runs } from '../../../../../tools/properties.ts'

/** Experts with that many tokens each, one behind the other in a shared list. */
function expertsOf(counts: readonly number[]): readonly RoutedRows[] {
  const total = counts.reduce((sum, count) => sum + count, 0)
  const rows = Int32Array.from({ length: total }, (_, index) => index)
  let from = 0
  return counts.map((count) => {
    const expert = { rows, weights: new Float32Array(total), from, to: from + count }
    from += count
    return expert
  })
}

describe('planTiles', () => {
  test('even routing: one tile for each expert, weights used where they lie', () => {
    const runs = planTiles(expertsOf([100, 120, 0, 128]), 4096)
    expect(runs.map(({ width, picksExperts }) => [width, picksExperts])).toEqual([[128, false]])
    expect(runs[0]?.tiles.map(({ expert, from, to }) => [expert, to - from])).toEqual([
      [0, 100],
      [1, 120],
      [2, 0],
      [3, 128],
    ])
  })

  test('one busy expert among many gets several tiles, and none has rows for its tokens that the others do not need', () => {
    const runs = planTiles(expertsOf([20_000, ...Array<number>(15).fill(32)]), 16_384)
    expect(runs.every(({ picksExperts }) => picksExperts)).toBe(true)
    const rows = runs.reduce((sum, { width, tiles }) => sum + width * tiles.length, 0)
    expect(rows).toBeLessThan(2 * (20_000 + 15 * 32))
  })

  test('nothing to do', () => {
    expect(planTiles(expertsOf([0, 0]), 100)).toEqual([])
    expect(planTiles([], 100)).toEqual([])
  })

  test('every token is in exactly one tile of its expert, within the limits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.nat(40), fc.nat(3000)), { minLength: 1, maxLength: 24 }),
        fc.integer({ min: 64, max: 5000 }),
        (counts, maxRows) => {
          const experts = expertsOf(counts)
          const runs = planTiles(experts, maxRows)
          const seen = experts.map(({ from }) => from)
          for (const { width, tiles, picksExperts } of runs) {
            expect(width * tiles.length).toBeLessThanOrEqual(maxRows)
            expect(tiles.length).toBeLessThanOrEqual(counts.length)
            for (const [position, tile] of tiles.entries()) {
              if (!picksExperts) expect(tile.expert).toBe(position)
              expect(tile.from).toBe(seen[tile.expert])
              expect(tile.to - tile.from).toBeLessThanOrEqual(width)
              seen[tile.expert] = tile.to
            }
          }
          expect(seen).toEqual(experts.map(({ to }) => to))
        },
      ),
      runs(300),
    )
  })
})
