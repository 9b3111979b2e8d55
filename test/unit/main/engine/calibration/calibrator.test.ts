/** What the calibrator promises around the arithmetic: reading once, giving back, stopping, refusing what is not finite. */
import { afterAll, describe, expect, test } from 'vitest'
import { Calibrator } from '../../../../../main/engine/calibration/calibrator.ts'
import { layerUnits } from '../../../../../main/engine/calibration/weight-units.ts'
import { OrtRuntime } from '../../../../../main/engine/device/ort-runtime.ts'
import { errorOf } from '../../../../tools/expect-error.ts'
import { makeMemoryModel, MemoryReader, SMALL_CONFIG } from '../../../../tools/memory-model.ts'
import { openSample } from '../../../../tools/open-sample.ts'

const runtime = new OrtRuntime({ device: 'cpu', threads: 1 })
afterAll(() => runtime.close())

const batches = [{ batch: 2, time: 5, ids: Int32Array.from([1, 2, 3, 60, 0, 7, 7, 7, 8, 9]) }]
const LAYER_0 = 'model.language_model.layers.0.'

describe('reading', () => {
  test('every tensor of a layer is asked for exactly once, and every unit given back', async () => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 1)
    const reader = new MemoryReader(bytes)
    const calibrator = await Calibrator.create({ model, runtime, reader, batches, maxUnitBytes: 3000 })
    await calibrator.runAll()
    const read = reader.units.flatMap(({ layerIndex, slices }) =>
      layerIndex === undefined ? [] : slices.map(({ name }) => name),
    )
    expect(new Set(read).size).toBe(read.length)
    // Two mixers (10 and 7 tensors), twice router, three shared matrices, its gate and a norm, twice seven experts of three.
    expect(read).toHaveLength(10 + 7 + 2 * 6 + 2 * 7 * 3)
    expect(reader.released).toBe(reader.units.length)
  })

  test('of the embedding only rows that occur, in ascending order', async () => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'F32', 1)
    const reader = new MemoryReader(bytes)
    const far = [{ batch: 1, time: 3, ids: Int32Array.from([50, 3, 20]) }]
    await (await Calibrator.create({ model, runtime, reader, batches: far })).embed()
    const rowBytes = 4 * SMALL_CONFIG.hiddenSize
    const rows = reader.units.flatMap(({ slices }) => slices.map(({ offsetBytes }) => offsetBytes / rowBytes))
    expect(rows).toEqual([3, 20, 50])
  })

  test('a group of experts stays below its limit, but holds at least one', async () => {
    const { model } = await openSample()
    const expertBytes = 3 * 128 * 256 * 2
    const { experts } = layerUnits(model, 0, 5 * expertBytes + 1)
    expect(experts.map(({ expertCount }) => expertCount)).toEqual([5, 5, 5, 5, 5, 5, 2])
    expect(layerUnits(model, 0, 1).experts).toHaveLength(32)
  })

  test('the units of a fused layer cover all of its bytes without overlap', async () => {
    const { model, checkpoint } = await openSample()
    const { mixer, moeFront, experts } = layerUnits(model, 3, 1 << 20)
    const slices = [mixer, moeFront, ...experts].flatMap(({ unit }) => unit.slices)
    const expected = [...checkpoint.tensors.values()]
      .filter(({ name }) => name.startsWith('model.language_model.layers.3.'))
      .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(slices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(expected)
    const places = slices.map(({ shardIndex, offsetBytes }) => `${String(shardIndex)}:${String(offsetBytes)}`)
    expect(new Set(places).size).toBe(slices.length)
  })
})

describe('statistics', () => {
  test('experts without tokens have amax 0, and counts add up to tokens times top-k', async () => {
    const { model, bytes } = makeMemoryModel({ ...SMALL_CONFIG, topK: 1 }, 'BF16', 5)
    const one = [{ batch: 1, time: 1, ids: Int32Array.of(4) }]
    const calibrator = await Calibrator.create({
      model,
      runtime,
      reader: new MemoryReader(bytes),
      batches: one,
    })
    const { amax, expertTokens, tokenCount } = await calibrator.runAll()
    const counts = [...(expertTokens.get(`${LAYER_0}mlp.experts`) ?? [])]
    const maxima = [...(amax.get(`${LAYER_0}mlp.experts.down_proj_input_quantizer`) ?? [])]
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1)
    expect(maxima.map((value) => value > 0)).toEqual(counts.map((count) => count > 0))
    expect(tokenCount).toBe(1)
  })

  test('how tokens are cut into batches does not change a count or a maximum', async () => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 2)
    const split = [0, 1].map((row) => ({
      batch: 1,
      time: 5,
      ids: batches[0].ids.slice(row * 5, row * 5 + 5),
    }))
    const run = async (given: typeof batches): Promise<unknown> => {
      const reader = new MemoryReader(bytes)
      const stats = await (await Calibrator.create({ model, runtime, reader, batches: given })).runAll()
      const rounded = [...stats.amax].map(([name, values]) => [
        name,
        [...values].map((v) => v.toPrecision(5)),
      ])
      return { rounded, tokens: [...stats.expertTokens], count: stats.tokenCount }
    }
    expect(await run(split)).toEqual(await run(batches))
  })
})

describe('refusing', () => {
  test('a NaN weight is named, in whatever part it is', async () => {
    for (const part of ['linear_attn.conv1d.weight', 'mlp.gate.weight', 'mlp.experts.6.down_proj.weight']) {
      const { model, bytes } = makeMemoryModel({ ...SMALL_CONFIG, topK: 7 }, 'BF16', 3)
      const { mixer, moeFront, experts } = layerUnits(model, 0, 1 << 20)
      const slices = [mixer, moeFront, ...experts].flatMap(({ unit }) => unit.slices)
      const slice = slices.find(({ name }) => name === `${LAYER_0}${part}`)
      expect(slice).toBeDefined()
      bytes.set([0xc0, 0x7f], (slice?.offsetBytes ?? 0) + 2)
      const reader = new MemoryReader(bytes)
      const calibrator = await Calibrator.create({ model, runtime, reader, batches })
      await calibrator.embed()
      const error = await errorOf(() => calibrator.runLayer(0))
      expect([error.code, error.subject]).toEqual(['WEIGHT_NOT_FINITE', `${LAYER_0}${part}`])
      await calibrator.release()
    }
  })

  test('finite weights that overflow name the layer', async () => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'F32', 3)
    const { mixer } = layerUnits(model, 0, 1 << 20)
    const slice = mixer.unit.slices.find(({ name }) => name.endsWith('out_proj.weight'))
    const huge = new Float32Array((slice?.sizeBytes ?? 0) / 4).fill(3e38)
    bytes.set(new Uint8Array(huge.buffer), slice?.offsetBytes ?? 0)
    const calibrator = await Calibrator.create({ model, runtime, reader: new MemoryReader(bytes), batches })
    await calibrator.embed()
    const error = await errorOf(() => calibrator.runLayer(0))
    expect([error.code, error.subject]).toEqual(['ACTIVATION_NOT_FINITE', 'layer 0'])
    await calibrator.release()
  })

  test.each([
    [
      'an id beyond the vocabulary',
      { batch: 1, time: 2, ids: Int32Array.of(1, 61) },
      'CALIBRATION_DATA_INVALID',
    ],
    ['a negative id', { batch: 1, time: 2, ids: Int32Array.of(-1, 1) }, 'CALIBRATION_DATA_INVALID'],
    ['too few ids', { batch: 2, time: 2, ids: Int32Array.of(1, 1) }, 'CALIBRATION_DATA_INVALID'],
    [
      'a sequence beyond the positions',
      { batch: 1, time: 5000, ids: new Int32Array(5000) },
      'CALIBRATION_DATA_INVALID',
    ],
    ['no sequence', { batch: 0, time: 4, ids: new Int32Array(0) }, 'CALIBRATION_DATA_EMPTY'],
  ])('%s', async (_, batch, code) => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 3)
    const reader = new MemoryReader(bytes)
    const error = await errorOf(() => Calibrator.create({ model, runtime, reader, batches: [batch] }))
    expect(error.code).toBe(code)
  })

  test('cancelling between runs ends the layer', async () => {
    const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 3)
    const calibrator = await Calibrator.create({ model, runtime, reader: new MemoryReader(bytes), batches })
    await calibrator.embed()
    let asked = 0
    const error = await errorOf(() =>
      calibrator.runLayer(0, {
        isCancelled: () => {
          asked += 1
          return asked > 2
        },
      }),
    )
    expect(error.code).toBe('CANCELLED')
    await calibrator.release()
  })
})

test('progress ends at three passes over all tokens and never goes back', async () => {
  const { model, bytes } = makeMemoryModel(SMALL_CONFIG, 'BF16', 4)
  const calibrator = await Calibrator.create({ model, runtime, reader: new MemoryReader(bytes), batches })
  await calibrator.embed()
  const seen: [number, number][] = []
  await calibrator.runLayer(0, { onProgress: (done, total) => seen.push([done, total]) })
  const done = seen.map(([value]) => value)
  expect(done).toEqual([...done].sort((a, b) => a - b))
  expect(seen.at(-1)).toEqual([30, 30])
  await calibrator.release()
})
