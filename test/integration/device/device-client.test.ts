/** The built device worker driven as the host drives it: a whole calibration, stopping in the middle, two at once. */
import { MessageChannel } from 'node:worker_threads'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCalibrationFiles } from '../../../main/engine/io/node/calibration-files.ts'
import type { MoeModel } from '../../../main/engine/models/moe-model.ts'
import type { Checkpoint } from '../../../main/engine/checkpoint/checkpoint.ts'
import { DeviceClient } from '../../../main/host/pool/device-client.ts'
import { probeDevices } from '../../../main/host/pool/probe-devices.ts'
import { errorOf } from '../../tools/expect-error.ts'
import { openSample } from '../../tools/open-sample.ts'
import { SAMPLE } from '../../tools/sample-path.ts'

const WORKER = join(import.meta.dirname, '../../../out/main/device.worker.js')
const EXPERTS = 'model.language_model.layers.0.mlp.experts'

let checkpoint: Checkpoint
let model: MoeModel
let descriptors: number[]

beforeAll(async () => {
  ;({ checkpoint, model } = await openSample())
  descriptors = checkpoint.shards.map(({ fileName }) => openSync(join(SAMPLE, fileName), 'r'))
})

afterAll(() => {
  descriptors.forEach((descriptor) => {
    closeSync(descriptor)
  })
})

const start = (): Promise<DeviceClient> =>
  DeviceClient.start({ workerFile: WORKER, device: 'cpu', threads: 1 })

async function builtinBatches(client: DeviceClient, samples: number, sequenceLength: number) {
  const files = await readCalibrationFiles({
    checkpoint,
    vocabSize: 4096,
    calibrationPath: undefined,
    samples,
    sequenceLength,
  })
  return (await client.loadData(files)).batch
}

test('built-in text, calibrated from start to finish', async () => {
  const client = await start()
  try {
    const batch = await builtinBatches(client, 3, 64)
    expect([batch.batch, batch.time]).toEqual([3, 64])
    expect(await client.startCalibration({ model, descriptors, batches: [batch] })).toEqual({
      tokenCount: 192,
      continued: undefined,
      unusable: [],
    })
    const stats = await client.runLayer(0)
    const tokens = [...(stats.expertTokens.get(EXPERTS) ?? [])]
    expect(tokens.reduce((sum, count) => sum + count, 0)).toBe(192 * 4)
    for (const layer of [1, 2, 3]) await client.runLayer(layer)
    const { stats: rest, bytesRead } = await client.finishCalibration()
    expect(rest.tokenCount).toBe(192)
    const trunk = [...checkpoint.tensors.values()].filter(({ name }) =>
      name.includes('language_model.layers.'),
    )
    const trunkBytes = trunk.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    expect(bytesRead).toBeGreaterThanOrEqual(trunkBytes)
    expect(bytesRead).toBeLessThan(1.05 * trunkBytes)
  } finally {
    await client.close()
  }
})

test('an error of the engine arrives as it was thrown, and the worker goes on', async () => {
  const client = await start()
  try {
    const ids = Int32Array.of(1, 5000)
    const error = await errorOf(() =>
      client.startCalibration({ model, descriptors, batches: [{ batch: 1, time: 2, ids }] }),
    )
    expect([error.code, error.kind]).toEqual(['CALIBRATION_DATA_INVALID', 'input'])
    const windows = [{ batch: 1, time: 4, ids: Int32Array.of(1, 2, 3, 4) }]
    const { results } = await client.evaluate({ path: SAMPLE, expertInputs: 'layer_max', windows })
    expect(results.map(({ tokens }) => tokens)).toEqual([3])
  } finally {
    await client.close()
  }
})

describe('stopping', () => {
  test('closing while a layer runs waits for the run to end: ending the thread then would abort this process', async () => {
    const client = await start()
    const batch = await builtinBatches(client, 32, 256)
    await client.startCalibration({ model, descriptors, batches: [batch] })
    const running = errorOf(() => client.runLayer(0))
    await client.close()
    expect((await running).code).toBe('CANCELLED')
    expect((await errorOf(() => client.runLayer(1))).code).toBe('WORKER_CRASHED')
  })

  test('cancelling ends the layer between two runs', async () => {
    const client = await start()
    const batch = await builtinBatches(client, 32, 256)
    await client.startCalibration({ model, descriptors, batches: [batch] })
    const running = errorOf(() => client.runLayer(0))
    client.cancel()
    expect((await running).code).toBe('CANCELLED')
    await client.close()
  })

  test('closing while the worker waits for memory that nobody lends', async () => {
    const client = await start()
    const { port1, port2 } = new MessageChannel()
    const asked = new Promise((resolve) => {
      port1.on('message', resolve)
    })
    await client.startCalibration({
      model,
      descriptors,
      batches: [{ batch: 1, time: 4, ids: Int32Array.of(1, 2, 3, 4) }],
      unitPort: port2,
    })
    const running = errorOf(() => client.runLayer(0))
    expect(await asked).toMatchObject({ kind: 'memory_wanted' })
    await client.close()
    expect((await running).code).toBe('CANCELLED')
    port1.close()
  })
})

test('two calibrations at once give what one alone gives', async () => {
  const counts = async (): Promise<number[]> => {
    const client = await start()
    const batches = [await builtinBatches(client, 2, 48)]
    await client.startCalibration({ model, descriptors, batches })
    const { expertTokens } = await client.runLayer(0)
    await client.close()
    return [...(expertTokens.get(EXPERTS) ?? [])]
  }
  const alone = await counts()
  expect(await Promise.all([counts(), counts()])).toEqual([alone, alone])
})

test('a device that is not there is refused when it is opened, not in the middle of a run', async () => {
  const available = (await probeDevices(WORKER)).filter(({ isAvailable }) => isAvailable)
  for (const device of ['webgpu', 'cuda'] as const) {
    if (available.some((info) => info.device === device)) continue
    const error = await errorOf(() => DeviceClient.start({ workerFile: WORKER, device }))
    expect([error.code, error.kind]).toEqual(['DEVICE_UNAVAILABLE', 'environment'])
  }
})

test('devices are found out without harm; the processor is always there', async () => {
  const devices = await probeDevices(WORKER)
  expect(devices.map(({ device }) => device)).toEqual(['cpu', 'webgpu', 'cuda'])
  expect(devices[0].isAvailable).toBe(true)
  for (const { isAvailable, detail } of devices.slice(1)) if (!isAvailable) expect(detail).not.toBe('')
})
