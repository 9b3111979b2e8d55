/** The whole calibration of the sample on the CPU against a recorded float32 run of the model's own implementation. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Calibrator } from '../../../main/engine/calibration/calibrator.ts'
import type { CalibrationStats } from '../../../main/engine/calibration/stats.ts'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import {
  openSampleReader,
  REFERENCE,
  referenceInput,
  worstDeviation,
  worstRelative,
  type OpenSample,
} from './reference-data.ts'

const TOLERANCE = 2e-4
const LAYERS = [0, 1, 2, 3]
const prefix = (layer: number): string => `model.language_model.layers.${String(layer)}.`

describe('calibration on the CPU', () => {
  const deviations = new Map<string, number>()
  const stats: CalibrationStats[] = []
  let sample: OpenSample
  let runtime: OrtRuntime

  beforeAll(async () => {
    sample = await openSampleReader()
    runtime = new OrtRuntime({ device: 'cpu', threads: 2 })
    const calibrator = await Calibrator.create({
      model: sample.model,
      runtime,
      reader: sample.reader,
      batches: [referenceInput(6)],
    })
    await calibrator.embed()
    deviations.set('embedding', worstDeviation('embedding', calibrator.batches, TOLERANCE))
    for (const layer of LAYERS) {
      stats.push(await calibrator.runLayer(layer))
      deviations.set(
        `layer${String(layer)}`,
        worstDeviation(`layer${String(layer)}`, calibrator.batches, TOLERANCE),
      )
    }
    stats.push(await calibrator.finish())
    deviations.set(
      'final-norm',
      worstDeviation('final-norm', calibrator.batches, TOLERANCE, ({ normed }) => normed),
    )
  })

  afterAll(async () => {
    await runtime.close()
    sample.close()
  })

  test('hidden states after every layer: a wrong norm, rotation, gate or routing weight would show here', () => {
    expect([...deviations.keys()]).toHaveLength(6)
    for (const [name, deviation] of deviations) expect(deviation, name).toBeLessThan(1)
  })

  test.each(LAYERS)('layer %i: tokens per expert, but for decisions that are too close to call', (layer) => {
    const { expertTokens, closeDecisions } = REFERENCE.layers[layer]
    const counts = stats[layer].expertTokens.get(`${prefix(layer)}mlp.experts`) ?? []
    const moved = expertTokens.reduce((sum, count, e) => sum + Math.abs(count - (counts[e] ?? 0)), 0)
    expect(moved).toBeLessThanOrEqual(2 * closeDecisions)
  })

  test.each(LAYERS)('layer %i: amax of every expert, before and between its matrices', (layer) => {
    const { gateUpInputAmax, downInputAmax } = REFERENCE.layers[layer]
    const site = (name: string): Float32Array =>
      stats[layer].amax.get(`${prefix(layer)}mlp.experts.${name}_input_quantizer`) ?? new Float32Array(0)
    expect(worstRelative(site('gate_up_proj'), gateUpInputAmax)).toBeLessThan(1e-3)
    expect(worstRelative(site('down_proj'), downInputAmax)).toBeLessThan(1e-3)
  })

  test('amax of every other linear and of the cached keys and values', () => {
    const all = new Map(stats.flatMap(({ amax }) => [...amax]))
    const expected = new Map([
      ...Object.entries(REFERENCE.linears).map(
        ([name, value]) => [`${name}.input_quantizer`, value] as const,
      ),
      ...Object.entries(REFERENCE.cache).map(([name, value]) => [`${name}_bmm_quantizer`, value] as const),
    ])
    expect(expected.size).toBe(38)
    for (const [name, value] of expected)
      expect(worstRelative(all.get(name) ?? [], [value]), name).toBeLessThan(1e-3)
  })

  test('counts all tokens once', () => {
    expect(stats.map(({ tokenCount }) => tokenCount)).toEqual([0, 0, 0, 0, 960])
  })
})
