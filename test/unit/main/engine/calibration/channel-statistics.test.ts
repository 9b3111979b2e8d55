/**
 * Channels and routing weights against an f64 reference that keeps every row. A reduction over the wrong axis, an expert's channels in
 * another's place, or a mean over all tokens instead of the expert's own would show.
 */
import { afterAll, describe, expect, test } from 'vitest'
import { ChannelCollector } from '../../../../../main/engine/calibration/channel-collector.ts'
import { ForwardPass } from '../../../../../main/engine/calibration/forward-pass.ts'
import type { ForwardOptions, LayerPass } from '../../../../../main/engine/calibration/layer-pass.ts'
import { ResidentForwardPass } from '../../../../../main/engine/calibration/resident/resident-forward-pass.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { ReferenceForward } from '../../../../tools/reference-forward.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

const { expertCount } = SMALL_CONFIG
const IDS = [3, 14, 15, 9, 26, 5, 35, 8, 60]

const PASSES: readonly [string, (options: ForwardOptions) => Promise<LayerPass>][] = [
  ['activations on this side', (options) => Promise.resolve(new ForwardPass(options))],
  [
    'activations on the device',
    async (options) => {
      const pass = await ResidentForwardPass.create({ ...options, maxUnitBytes: 3000 })
      if (pass === undefined) throw new Error('the activations do not fit')
      return pass
    },
  ],
]

/** [site, copy, channel] of our statistics for a name of the reference. */
function placeOf(site: string): { readonly quantizer: string; readonly copy: number } {
  const [, part = '', expert = ''] = /^(gate_up|down)\.(\d+)$/.exec(site) ?? []
  if (part === '') return { quantizer: site, copy: 0 }
  return { quantizer: `mlp.experts.${part}_proj`, copy: Number(expert) }
}

describe.each(PASSES)('%s', (_, create) => {
  test('maximum and mean of every channel, and routing weights, of both layers', async () => {
    const { model, values, bytes } = makeMemoryModel(SMALL_CONFIG, 'F32', 11)
    const reference = new ReferenceForward(SMALL_CONFIG, values, model.prefix)
    const batch = { batch: 1, time: IDS.length, ids: Int32Array.from(IDS) }
    const reader = new MemoryReader(bytes)
    const forward = await create({ model, runtime, reader, batches: [batch], shouldObserveChannels: true })
    await forward.embed()
    let hidden = reference.embed(IDS)
    for (const layer of [0, 1]) {
      const collector = new ChannelCollector()
      const routing = await forward.runLayer(layer, (site, slot, _amax, channels) => {
        if (channels !== undefined) {
          collector.add(site, site.startsWith('mlp.experts.') ? expertCount : 1, slot, channels)
        }
      })
      const expected = reference.layer(layer, hidden)
      hidden = expected.hidden
      const counts = routing.counts()
      const channels = collector.finish((site, copy) =>
        site.startsWith('mlp.experts.') ? (counts[copy] ?? 0) : IDS.length,
      )
      let compared = 0
      for (const [site, rows] of expected.rows) {
        if (site === 'self_attn.k' || site === 'self_attn.v') continue
        const { quantizer, copy } = placeOf(site)
        const actual = channels.get(quantizer)
        const width = rows[0]?.length ?? 0
        expect(actual?.width, site).toBe(width)
        for (let channel = 0; channel < width; channel += 1) {
          const magnitudes = rows.map((row) => Math.abs(row[channel] ?? 0))
          const mean = magnitudes.reduce((sum, value) => sum + value, 0) / rows.length
          const place = copy * width + channel
          expect(actual?.amax[place], `${site} ${String(channel)}`).toBeCloseTo(Math.max(...magnitudes), 4)
          expect(actual?.meanAbs[place], `${site} ${String(channel)}`).toBeCloseTo(mean, 4)
          compared += 1
        }
      }
      // Three or four mixer inputs, a shared expert's two, and both of each expert that was reached.
      expect(compared).toBeGreaterThan(4 * SMALL_CONFIG.hiddenSize)
      const sums = new Array<number>(expertCount).fill(0)
      expected.chosen.forEach((experts, token) => {
        experts.forEach((expert, rank) => (sums[expert] += expected.weights[token]?.[rank] ?? 0))
      })
      for (const [expert, sum] of routing.weightSums().entries()) expect(sum).toBeCloseTo(sums[expert], 5)
    }
    await forward.release()
  })
})
