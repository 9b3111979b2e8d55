/**
 * A whole run on WebGPU, on a software Vulkan driver: quality as on the CPU, where the quantized stream runs on the device and where it
 * rounds on the CPU, and the source read once. Without a driver it is skipped, and says so.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Comparison } from '../../../main/engine/quality/measure-models.ts'
import { DeviceClient } from '../../../main/host/pool/device-client.ts'
import { writeSampleCheckpoint } from '../../../main/engine/io/node/write-sample-checkpoint.ts'
import type { QualityReport } from '../../../shared/domain/quality-report.ts'
import { runForTest, silentObserver, TEST_ENVIRONMENT, type TestRun } from '../../tools/run-for-test.ts'
import { temporaryFolder } from '../../tools/temporary-folder.ts'
import { writeTokenIds } from '../../tools/token-ids-file.ts'

const CANDIDATES = [process.env['VK_ICD_FILENAMES'], '/usr/lib/chromium/vk_swiftshader_icd.json']
const driver = CANDIDATES.find((path) => path !== undefined && existsSync(path))
if (driver === undefined) process.stderr.write('skipped: no Vulkan driver; set VK_ICD_FILENAMES to one\n')
const NUMBERS = {
  hiddenSize: 64,
  expertCount: 6,
  topK: 2,
  expertWidth: 32,
  sharedExpertWidth: 32,
  vocabSize: 512,
  headDim: 32,
  layerCount: 2,
  fullAttentionInterval: 2,
}

const IDS = Int32Array.from({ length: 32 }, (_, index) => (index * 97) % NUMBERS.vocabSize)

let checkpointPath: string
let calibrationPath: string
beforeAll(async () => {
  process.env['VK_ICD_FILENAMES'] = driver
  const folder = await temporaryFolder()
  checkpointPath = join(folder, 'sample')
  calibrationPath = join(folder, 'ids.safetensors')
  await writeTokenIds(calibrationPath, IDS, 16)
  await writeSampleCheckpoint({ shape: 'tiny', folder: checkpointPath, numbers: NUMBERS, hasVision: false })
})

async function measure(recipe: string, device: 'cpu' | 'webgpu', notices: string[] = []): Promise<TestRun> {
  const observer = {
    ...silentObserver(),
    log: (_level: string, message: string) => notices.push(message),
  }
  const options = { recipe, device, samples: 2, sequenceLength: 16, quality: 'full' } as const
  return runForTest({ checkpointPath, calibrationPath, options }, observer)
}

/** What `eval --against --device webgpu` does. */
async function evaluateOnDevice(path: string): Promise<Comparison> {
  const client = await DeviceClient.start({ workerFile: TEST_ENVIRONMENT.deviceWorkerFile, device: 'webgpu' })
  try {
    const windows = [{ batch: 2, time: 16, ids: IDS }]
    const input = { path, againstPath: checkpointPath, expertInputs: 'layer_max' as const, windows }
    const { comparison } = await client.evaluate(input)
    if (comparison === undefined) throw new Error('nothing was compared')
    return comparison
  } finally {
    await client.close()
  }
}

/** Everything measured, in one order: errors and perplexities, and how many tokens of which expert were compared. */
function numbersOf(quality: Pick<QualityReport, 'klMean' | 'quantized' | 'layers'> | undefined): {
  counts: number[]
  values: number[]
} {
  const experts = (quality?.layers ?? []).flatMap((layer) => layer.experts)
  return {
    counts: experts.flatMap(({ expertIndex, tokens }) => [expertIndex, tokens]),
    values: [
      quality?.klMean ?? 0,
      quality?.quantized?.perplexity ?? 0,
      ...(quality?.layers ?? []).map(({ relativeError }) => relativeError),
      ...experts.map(({ relativeError }) => relativeError),
    ],
  }
}

describe.skipIf(driver === undefined)('webgpu', () => {
  test('the layer of linear attention on the device, the one whose cache is rounded on the CPU', async () => {
    const recipe = 'w4a16_nvfp4-kv_fp8_cast'
    const notices: string[] = []
    const { report: cpu } = await measure(recipe, 'cpu')
    const { report: gpu, outputPath } = await measure(recipe, 'webgpu', notices)
    expect(notices.some((line) => line.includes('on the CPU'))).toBe(true)
    expect(gpu.bytesRead).toBe(cpu.bytesRead)
    expect(gpu.bytesRead / gpu.sourceBytes).toBeLessThanOrEqual(1.02)
    const expected = numbersOf(cpu.quality)
    expect(expected.values.every((value) => value > 0)).toBe(true)
    const finished = await evaluateOnDevice(outputPath)
    for (const seen of [numbersOf(gpu.quality), numbersOf({ ...finished.all, ...finished })]) {
      expect(seen.counts).toEqual(expected.counts)
      for (const [index, value] of expected.values.entries())
        expect((seen.values[index] ?? 0) / value).toBeCloseTo(1, 2)
    }
  }, 180_000)
})
