/** Recipes that rescale input channels, from the run to an export that verifies against its source: AWQ and SmoothQuant, both dialects. */
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { NodeCheckpointFolder } from '../../../main/engine/io/node/checkpoint-folder.ts'
import { parseSmoothingRecord } from '../../../main/engine/smoothing/smoothing-record.ts'
import { verifyExport } from '../../../main/engine/verify/verify-export.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { hashExport, runForTest, silentObserver } from '../../tools/run-for-test.ts'
import { SAMPLE } from '../../tools/sample-path.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'

const CALIBRATION = { samples: 4, sequenceLength: 64 }
const RECIPE = `
dialect: compressed-tensors
quantize:
  algorithm: {method: awq_lite, alpha_step: 0.5}
  quant_cfg:
    - quantizer_name: '*'
      enable: false
    - quantizer_name: '*.experts.*weight_quantizer'
      cfg: {num_bits: 4, block_sizes: {-1: 128, type: static}}
`
const OPTIONS = { ...CALIBRATION, recipe: 'mine.yaml', recipeText: RECIPE, workers: 1 }
const RECORD = 'quantmill/smoothing.safetensors'

test.each(['int8_smoothquant', 'nvfp4_awq_lite'])(
  '%s: the export is what its record makes of the source',
  async (recipe) => {
    const { outputPath } = await runForTest({ options: { ...CALIBRATION, recipe } })
    const report = await verifyExport(new NodeCheckpointFolder(outputPath), {
      source: new NodeCheckpointFolder(SAMPLE),
    })
    expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([])
    expect(report.comparedMatrixCount).toBe(409)
    const { vectors } = parseSmoothingRecord(RECORD, await readFile(join(outputPath, RECORD)))
    expect(vectors.size).toBe(4 * 4)
    const moved = [...vectors.values()].filter((vector) => vector.some((scale) => scale !== 1))
    expect(moved.length).toBe(4 * 4)
  },
)

test('any number of workers, a stop in the export, and the dump of the run give the same bytes', async () => {
  const first = await runForTest({ options: OPTIONS })
  const bytes = await hashExport(first.outputPath)
  const record = await readFile(join(first.outputPath, RECORD))

  const amaxPath = join(first.outputPath, 'quantmill/calibration.safetensors')
  const again = await runForTest({ options: { ...OPTIONS, workers: 3 }, amaxPath })
  expect(await hashExport(again.outputPath)).toEqual(bytes)
  expect(await readFile(join(again.outputPath, RECORD))).toEqual(record)

  const outputPath = join(await temporaryFolder(), 'export')
  let steps = 0
  const stopping = {
    ...silentObserver(() => steps > 60),
    stageProgress: (stage: string) => {
      if (stage === 'export') steps += 1
    },
  }
  expect(await errorOf(() => runForTest({ outputPath, options: OPTIONS }, stopping))).toMatchObject({
    code: 'CANCELLED',
  })
  await runForTest({ outputPath, options: OPTIONS, canResume: true })
  expect(await hashExport(outputPath)).toEqual(bytes)
  expect(await readFile(join(outputPath, RECORD))).toEqual(record)
  const own = await readdir(join(outputPath, 'quantmill'))
  expect(own.filter((name) => name.startsWith('smoothing'))).toEqual(['smoothing.safetensors'])

  // A record that is not what the weights were made with is found out by norms, routers and weights alike.
  const changed = Buffer.from(record)
  changed.writeFloatLE(changed.readFloatLE(changed.length - 4) * 1.5, changed.length - 4)
  await writeFile(join(outputPath, RECORD), changed)
  const report = await verifyExport(new NodeCheckpointFolder(outputPath), {
    source: new NodeCheckpointFolder(SAMPLE),
  })
  expect(report.isSound).toBe(false)
})

test('a dump without channels is refused by name', async () => {
  const plain = await runForTest({ options: { ...CALIBRATION, recipe: 'fp8' } })
  const amaxPath = join(plain.outputPath, 'quantmill/calibration.safetensors')
  const error = await errorOf(() => runForTest({ options: OPTIONS, amaxPath }))
  expect(error).toMatchObject({ code: 'AMAX_MISSING', subject: expect.stringContaining('input_quantizer') })
})
