/** A recipe with a percentile, from the run to the stored scales and back from its dump. A percentile that is parsed and then ignored would show. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAmaxDump } from '../../../main/engine/calibration/amax-dump.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { hashExport, runForTest } from '../../tools/run-for-test.ts'

const recipeOf = (algorithm: string): string => `
quantize:
  algorithm: ${algorithm}
  quant_cfg:
    - quantizer_name: '*'
      enable: false
    - quantizer_name: '*self_attn*weight_quantizer'
      cfg: {num_bits: e4m3}
    - quantizer_name: '*self_attn*input_quantizer'
      cfg: {num_bits: e4m3}
`
const options = { recipe: 'mine.yaml', samples: 4, sequenceLength: 64 }

test('clipped scales, a dump that gives them again, and a dump that lacks them', async () => {
  const recipeText = recipeOf('{method: max, percentile: 90}')
  const clipped = await runForTest({ options: { ...options, recipeText } })
  const plain = await runForTest({ options: { ...options, recipeText: recipeOf('max') } })
  const dumpOf = (folder: string): string => join(folder, 'quantmill/calibration.safetensors')
  const { amax, percentiles } = parseAmaxDump('dump', await readFile(dumpOf(clipped.outputPath)))
  const site = 'model.language_model.layers.3.self_attn.o_proj.input_quantizer'
  const value = percentiles.get(`${site}.percentile_90`)?.[0] ?? 0
  expect(value).toBeGreaterThan(0)
  expect(value).toBeLessThan(amax.get(site)?.[0] ?? 0)

  const header = async (folder: string): Promise<Buffer> => readFile(join(folder, 'model.safetensors'))
  const scaleOf = (file: Buffer, name: string): number => {
    const length = Number(file.readBigUInt64LE(0))
    const tensors = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
      string,
      { data_offsets: [number, number] }
    >
    return file.readFloatLE(8 + length + (tensors[name]?.data_offsets[0] ?? -1))
  }
  const name = 'model.language_model.layers.3.self_attn.o_proj.input_scale'
  expect(scaleOf(await header(clipped.outputPath), name)).toBeCloseTo(value / 448, 6)
  expect(scaleOf(await header(plain.outputPath), name)).toBeCloseTo((amax.get(site)?.[0] ?? 0) / 448, 6)

  const amaxPath = dumpOf(clipped.outputPath)
  const again = await runForTest({ options: { ...options, recipeText }, amaxPath })
  expect(await hashExport(again.outputPath)).toEqual(await hashExport(clipped.outputPath))
  const lacking = runForTest({ options: { ...options, recipeText }, amaxPath: dumpOf(plain.outputPath) })
  expect(await errorOf(() => lacking)).toMatchObject({ code: 'AMAX_MISSING' })
})
