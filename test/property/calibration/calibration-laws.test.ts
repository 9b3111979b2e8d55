import { expect, test } from 'vitest'
import { parseAmaxDump, writeCalibrationDump } from '../../../main/engine/calibration/amax-dump.ts'
import { WindowPacker } from '../../../main/engine/calibration/data/pack-windows.ts'
import { textPieces } from '../../../main/engine/calibration/data/text-pieces.ts'
import { RoutingTable } from '../../../main/engine/calibration/routing-table.ts'
import {
  mergeStats,
  type CalibrationStats,
  type ChannelStats,
} from '../../../main/engine/calibration/stats.ts'
import { fc } from '../../tools/properties.ts'

const amaxValues = fc.array(fc.float({ min: 0, noNaN: true, noDefaultInfinity: true }), {
  minLength: 1,
  maxLength: 6,
})
const stats: fc.Arbitrary<CalibrationStats> = fc.record({
  amax: fc
    .dictionary(fc.constantFrom('a', 'b', 'layers.0.é', '__proto__', 'constructor'), amaxValues)
    .map(
      (record) => new Map(Object.entries(record).map(([name, values]) => [name, Float32Array.from(values)])),
    ),
  expertTokens: fc
    .dictionary(fc.constantFrom('x.experts', 'y.experts'), fc.array(fc.nat(), { minLength: 1, maxLength: 5 }))
    .map(
      (record) => new Map(Object.entries(record).map(([name, values]) => [name, Float64Array.from(values)])),
    ),
  routingWeights: fc.constant(new Map([['x.experts', Float64Array.of(0.5, 2)]])),
  percentiles: fc.constant(new Map<string, Float32Array>()),
  channels: fc.constant(new Map<string, ChannelStats>()),
  tokenCount: fc.nat(),
})

test('a dump that was written reads back as it was', () => {
  fc.assert(
    fc.property(stats, (written) => {
      const read = parseAmaxDump('x', writeCalibrationDump(written))
      expect(new Map([...read.amax].sort())).toEqual(new Map([...written.amax].sort()))
      expect(new Map([...read.expertTokens].sort())).toEqual(new Map([...written.expertTokens].sort()))
      expect(read.tokenCount).toBe(written.tokenCount)
    }),
  )
})

test('merging is commutative and has no effect beyond the sites of either side', () => {
  const sameLengths = stats.map(({ amax, ...rest }) => ({
    ...rest,
    expertTokens: new Map<string, Float64Array>(),
    amax: new Map([...amax].map(([name, values]) => [name, values.slice(0, 1)])),
  }))
  fc.assert(
    fc.property(sameLengths, sameLengths, (a, b) => {
      const left = mergeStats(a, b)
      const right = mergeStats(b, a)
      expect(new Map([...left.amax].sort())).toEqual(new Map([...right.amax].sort()))
      expect(new Set(left.amax.keys())).toEqual(new Set([...a.amax.keys(), ...b.amax.keys()]))
    }),
  )
})

test('routing: k different experts a token, weights sum to one, counts to tokens times k', () => {
  const cases = fc.integer({ min: 1, max: 12 }).chain((experts) =>
    fc.record({
      experts: fc.constant(experts),
      k: fc.integer({ min: 1, max: experts }),
      rows: fc.array(fc.array(fc.integer({ min: 1, max: 5 }), { minLength: experts, maxLength: experts }), {
        minLength: 1,
        maxLength: 8,
      }),
    }),
  )
  fc.assert(
    fc.property(cases, ({ experts, k, rows }) => {
      const routing = new RoutingTable(rows.length, experts, k)
      routing.add(0, Float32Array.from(rows.flat()))
      rows.forEach((row, index) => {
        const { experts: chosen, weights } = routing.choiceOf(index)
        const best = row.map((value, e) => [value, e]).sort((a, b) => b[0] - a[0] || a[1] - b[1])
        expect([...chosen]).toEqual(best.slice(0, k).map(([, e]) => e))
        expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 5)
      })
      expect(routing.counts().reduce((sum, count) => sum + count, 0)).toBe(rows.length * k)
      const seen = Array.from({ length: experts }, (_, e) => routing.rowsOf(e)).reduce(
        (n, { from, to }) => n + to - from,
        0,
      )
      expect(seen).toBe(rows.length * k)
    }),
  )
})

test('windows are a prefix of the joined tokens, whole windows only', () => {
  const lists = fc.array(fc.array(fc.nat(999), { maxLength: 9 }), { minLength: 1, maxLength: 9 })
  fc.assert(
    fc.property(
      lists,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 2, max: 7 }),
      (given, samples, length) => {
        const all = given.flat()
        fc.pre(all.length >= 2)
        const packer = new WindowPacker(samples, length)
        for (const list of given) packer.add(list)
        const { batch, time, ids } = packer.finish('x')
        expect([...ids]).toEqual(all.slice(0, batch * time))
        expect(time).toBe(Math.min(length, all.length))
        expect(batch).toBe(Math.min(samples, Math.floor(all.length / time)))
      },
    ),
  )
})

test('pieces of a text joined are the text, none longer than the limit and one character', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      (text, limit) => {
        const pieces = [...textPieces(text, limit)]
        expect(pieces.join('')).toBe(text)
        for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(limit + 1)
      },
    ),
  )
})
