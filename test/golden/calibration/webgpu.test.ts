/**
 * The same graphs on WebGPU, on a software Vulkan driver: a shorter input, tolerance 1e-3 + 1e-3·|x| (measured: 1.4e-5). Runs in a process of
 * its own, which every test file here has. Without a driver it is skipped, and says so.
 */
import { existsSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { Calibrator } from '../../../main/engine/calibration/calibrator.ts'
import { OrtRuntime } from '../../../main/engine/device/ort-runtime.ts'
import { openSampleReader, referenceInput, worstDeviation } from './reference-data.ts'

const CANDIDATES = [process.env['VK_ICD_FILENAMES'], '/usr/lib/chromium/vk_swiftshader_icd.json']
const driver = CANDIDATES.find((path) => path !== undefined && existsSync(path))
if (driver === undefined) process.stderr.write('skipped: no Vulkan driver; set VK_ICD_FILENAMES to one\n')
const TOLERANCE = 1e-3

test.skipIf(driver === undefined)(
  'hidden states and token counts on webgpu',
  async () => {
    // The loader reads the variable when the first device is made; a worker thread's environment would not reach it.
    expect(isMainThread).toBe(true)
    process.env['VK_ICD_FILENAMES'] = driver
    const sample = await openSampleReader()
    const input = referenceInput(2)
    const calibrate = async (
      device: 'cpu' | 'webgpu',
    ): Promise<{ counts: number[][]; deviations: number[] }> => {
      const runtime = new OrtRuntime({ device, threads: 2 })
      const { model, reader } = sample
      const calibrator = await Calibrator.create({ model, runtime, reader, batches: [input] })
      await calibrator.embed()
      const counts: number[][] = []
      const deviations: number[] = []
      for (const layer of [0, 1, 2, 3]) {
        const { expertTokens } = await calibrator.runLayer(layer)
        counts.push([...expertTokens.values()].flatMap((values) => [...values]))
        deviations.push(worstDeviation(`layer${String(layer)}`, await calibrator.readStates(), TOLERANCE))
      }
      await calibrator.finish()
      await runtime.close()
      return { counts, deviations }
    }
    const gpu = await calibrate('webgpu')
    const cpu = await calibrate('cpu')
    sample.close()
    for (const deviation of gpu.deviations) expect(deviation).toBeLessThan(1)
    expect(gpu.counts).toEqual(cpu.counts)
  },
  180_000,
)
