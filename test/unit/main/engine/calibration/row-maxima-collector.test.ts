/** Percentiles of row maxima by hand-counted ranks; a rank off by one, or an order that depends on batches, would show. */
import { afterAll, expect, test } from 'vitest'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import {
  amaxAt,
  nearestRank,
  RowMaximaCollector,
} from '../../../../../main/engine/calibration/row-maxima-collector.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { ReferenceForward } from '../../../../tools/reference-forward.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

test.each([
  [1000, 99.9, 998],
  [1000, 99.95, 999],
  [10, 90, 8],
  [10, 91, 9],
  [3, 99.9, 2],
  [1, 50, 0],
  [4, 0.001, 0],
])('of %i rows the %d percentile is the one at place %i', (count, percentile, place) => {
  expect(nearestRank(count, percentile)).toBe(place)
})

test('rows of all parts count together, experts apart, and NaN stays', () => {
  const rows = new RowMaximaCollector()
  rows.add('e', 0, Float32Array.of(5, 1))
  rows.add('e', 0, Float32Array.of(3, 100))
  rows.add('e', 2, Float32Array.of(7))
  rows.add('n', 0, Float32Array.of(1, Number.NaN))
  const values = rows.finish(75, (quantizer) => (quantizer === 'e' ? 3 : 1))
  expect([...(values.get('e') ?? [])]).toEqual([5, 0, 7])
  expect(values.get('n')?.[0]).toBeNaN()
})

test('a calibration with a percentile keeps the maxima and agrees with the rows of a reference', async () => {
  const { model, values, bytes } = makeMemoryModel(SMALL_CONFIG, 'F32', 21)
  const ids = [3, 14, 15, 9, 26, 5, 35, 8, 60, 1]
  const batches = [{ batch: 1, time: ids.length, ids: Int32Array.from(ids) }]
  const calibrator = await Calibrator.create({
    model,
    runtime,
    reader: new MemoryReader(bytes),
    batches,
    percentile: 70,
  })
  const stats = await calibrator.runAll()
  const reference = new ReferenceForward(SMALL_CONFIG, values, model.prefix)
  const { rows } = reference.layer(0, reference.embed(ids))
  const maxima = (site: string): number[] =>
    (rows.get(site) ?? []).map((row) => Math.max(...row.map(Math.abs))).sort((a, b) => a - b)
  const clipped = amaxAt(stats, 70)
  expect([...clipped.keys()].sort()).toEqual([...stats.amax.keys()].sort())
  const qkv = `${model.prefix}.layers.0.linear_attn.in_proj_qkv.input_quantizer`
  // Seven of ten rows.
  expect(clipped.get(qkv)?.[0]).toBeCloseTo(maxima('linear_attn.in_proj_qkv')[6] ?? 0, 4)
  expect(stats.amax.get(qkv)?.[0]).toBeCloseTo(maxima('linear_attn.in_proj_qkv')[9] ?? 0, 4)
  const experts = clipped.get(`${model.prefix}.layers.0.mlp.experts.down_proj_input_quantizer`)
  for (let expert = 0; expert < SMALL_CONFIG.expertCount; expert += 1) {
    const own = maxima(`down.${String(expert)}`)
    expect(experts?.[expert]).toBeCloseTo(own[Math.ceil(0.7 * own.length) - 1] ?? 0, 4)
  }
})
