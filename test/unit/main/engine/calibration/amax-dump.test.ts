/** Both forms of a calibration dump, and everything that must not pass as one. */
import { describe, expect, test } from 'vitest'
import { parseAmaxDump, writeCalibrationDump } from '../../../../../main/engine/calibration/amax-dump.ts'
import { EMPTY_STATS } from '../../../../../main/engine/calibration/stats.ts'
import { errorOf } from '../../../../tools/expect-error.ts'

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

describe('JSON', () => {
  test('ModelOpt entries, plain numbers and lists', () => {
    const { amax, tokenCount } = parseAmaxDump(
      'amax.json',
      json({
        'a.input_quantizer': { dtype: 'bfloat16', shape: [], value: [2.796875] },
        'b.input_quantizer': 3,
        'c.input_quantizer': { value: 0.5 },
        'd.experts.down_proj_input_quantizer': [[1], [0], [2]],
      }),
    )
    expect([...amax].map(([name, values]) => [name, [...values]])).toEqual([
      ['a.input_quantizer', [2.796875]],
      ['b.input_quantizer', [3]],
      ['c.input_quantizer', [0.5]],
      ['d.experts.down_proj_input_quantizer', [1, 0, 2]],
    ])
    expect(tokenCount).toBe(0)
  })

  test.each([
    ['negative', '{"a": -1}'],
    ['NaN as Python writes it', '{"a": NaN}'],
    ['infinite in f32', '{"a": 1e39}'],
    ['text', '{"a": "1"}'],
    ['null', '{"a": null}'],
    ['an empty list', '{"a": []}'],
    ['a list at the root', '[1]'],
    ['nothing at all', '{}'],
    ['cut off', '{"a": 1'],
    ['an empty file', ''],
    ['not text', '\xff\xfe{"a": 1}'],
  ])('%s is refused', async (_, text) => {
    const bytes = Uint8Array.from(text, (unit) => unit.charCodeAt(0))
    const error = await errorOf(() => parseAmaxDump('amax.json', bytes))
    expect(error.code).toBe('AMAX_INVALID')
    expect(error.subject.startsWith('amax.json')).toBe(true)
  })
})

describe('calibration.safetensors', () => {
  const stats = {
    amax: new Map([
      ['m.experts.gate_up_proj_input_quantizer', Float32Array.of(1.5, 0, 2.25)],
      ['m.q_proj.input_quantizer', Float32Array.of(0.1)],
    ]),
    expertTokens: new Map([['m.experts', Float64Array.of(7, 0, 2 ** 40)]]),
    routingWeights: new Map([['m.experts', Float64Array.of(2.5, 0, 0.1)]]),
    channels: new Map([
      [
        'm.experts.down_proj_input_quantizer',
        {
          width: 2,
          amax: Float32Array.of(1, 2, 0, 0, 3, 4),
          meanAbs: Float32Array.of(0.5, 1, 0, 0, 0.25, 4),
        },
      ],
      [
        'm.q_proj.input_quantizer',
        { width: 2, amax: Float32Array.of(0.1, 0), meanAbs: Float32Array.of(0.05, 0) },
      ],
    ]),
    percentiles: new Map([['m.q_proj.input_quantizer.percentile_99.9', Float32Array.of(0.08)]]),
    tokenCount: 1024,
  }

  test('is a safetensors file with names and values as they are', () => {
    const bytes = writeCalibrationDump(stats)
    const length = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >
    const { dtype, shape, data_offsets } = header['m.experts.gate_up_proj_input_quantizer']
    expect([dtype, shape]).toEqual(['F32', [3]])
    const view = new DataView(bytes.buffer, 8 + length + data_offsets[0])
    expect([view.getFloat32(0, true), view.getFloat32(4, true), view.getFloat32(8, true)]).toEqual([
      1.5, 0, 2.25,
    ])
    expect(header['m.experts.expert_tokens']).toMatchObject({ dtype: 'F64', shape: [3] })
    expect(header['m.experts.expert_routing_weight']).toMatchObject({ dtype: 'F64', shape: [3] })
    const channels = 'm.experts.down_proj_input_quantizer.channel'
    expect(header[`${channels}_amax`]).toMatchObject({ dtype: 'F32', shape: [3, 2] })
    expect(header[`${channels}_mean_abs`]).toMatchObject({ dtype: 'F32', shape: [3, 2] })
    expect(header['m.q_proj.input_quantizer.channel_amax']).toMatchObject({ shape: [2] })
  })

  test('reads back what was written', () => {
    const read = parseAmaxDump('calibration.safetensors', writeCalibrationDump(stats))
    expect(new Map([...read.amax].sort())).toEqual(stats.amax)
    expect(read.expertTokens).toEqual(stats.expertTokens)
    expect(read.routingWeights).toEqual(stats.routingWeights)
    expect(read.channels).toEqual(stats.channels)
    expect(read.percentiles).toEqual(stats.percentiles)
    expect(read.tokenCount).toBe(1024)
  })

  test('written again after reading it has the same bytes, so that a continued run ends with the same dump', () => {
    const bytes = writeCalibrationDump(stats)
    expect(writeCalibrationDump(parseAmaxDump('calibration.safetensors', bytes))).toEqual(bytes)
  })

  test('a dump of the first version, without weights and channels, is still read', () => {
    const { amax, expertTokens, tokenCount } = stats
    const old = writeCalibrationDump({ ...EMPTY_STATS, amax, expertTokens, tokenCount })
    const read = parseAmaxDump('calibration.safetensors', old)
    expect([read.routingWeights.size, read.channels.size, read.amax.size]).toEqual([0, 0, 2])
  })

  test('channels without their means are refused by name', async () => {
    const amax = new Map([['m.q_proj.input_quantizer.channel_amax', Float32Array.of(1, 2)]])
    const bytes = writeCalibrationDump({ ...EMPTY_STATS, amax })
    const error = await errorOf(() => parseAmaxDump('calibration.safetensors', bytes))
    expect([error.code, error.subject]).toEqual([
      'AMAX_INVALID',
      'calibration.safetensors: m.q_proj.input_quantizer',
    ])
  })

  test('NaN is refused by name', async () => {
    const bytes = writeCalibrationDump({ ...stats, amax: new Map([['x', Float32Array.of(Number.NaN)]]) })
    const error = await errorOf(() => parseAmaxDump('calibration.safetensors', bytes))
    expect([error.code, error.subject]).toEqual(['AMAX_INVALID', 'calibration.safetensors: x'])
  })

  test('a damaged header is a header error', async () => {
    const bytes = writeCalibrationDump(stats).subarray(0, 40)
    const error = await errorOf(() => parseAmaxDump('calibration.safetensors', bytes))
    expect(error.code).toBe('SAFETENSORS_TRUNCATED')
  })
})
